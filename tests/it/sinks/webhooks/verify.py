# Verifies what was received with the library of Standard Webhooks for Python: one JSON object a line,
# {"secret", "headers", "body"}; prints the event's type, or "refused".
import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

for line in sys.stdin:
    letter = json.loads(line)
    try:
        event = Webhook(letter["secret"]).verify(letter["body"], letter["headers"])
        print(event["type"])
    except WebhookVerificationError:
        print("refused")
