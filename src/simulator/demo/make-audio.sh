#!/usr/bin/env bash
# Regenerates the demo meeting's audio from script.json, and fits script.json to it.
#
# The speech is synthesised by espeak-ng from our own text (its output is free to use) and
# stored by sox as headerless G.711 A-law, 8 kHz mono. Needs: espeak-ng, sox, python3.
#
# A line keeps its distance from the end of the line before it, as at_ms and duration_ms stand
# in script.json: a negative distance is an overlap. Joins, leaves, chat and sharing stay put.
# To add a line, give it an at_ms and leave out duration_ms.
#
#   ./make-audio.sh          regenerate, then check
#   ./make-audio.sh check    only check script.json against the files
set -euo pipefail
cd "$(dirname "$0")"
exec python3 - "$@" <<'PYTHON'
import array, json, math, pathlib, subprocess, sys

VOICES = {  # espeak-ng voice, pitch (0 to 99), speed (words per minute)
    "ana": ("en-gb+f3", 52, 156),
    "bo": ("en-us+m3", 48, 164),
    "chidi": ("en-gb-x-rp+m7", 30, 152),
}
BYTES_PER_MS = 8
FRAME_BYTES = 20 * BYTES_PER_MS
SILENCE = b"\xd5"  # A-law zero
TARGET_RMS = 0.1  # of full scale: -20 dBFS
PEAK_LIMIT = 0.95
SILENT_RMS = 0.03
PCM = ["-t", "raw", "-e", "signed", "-b", "16", "-r", "8000", "-c", "1"]
ALAW = ["-t", "al", "-r", "8000", "-c", "1"]


def run(command, given):
    return subprocess.run(command, input=given, stdout=subprocess.PIPE, check=True).stdout


def rms_and_peak(pcm):
    samples = array.array("h", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    rms = math.sqrt(sum(s * s for s in samples) / len(samples)) / 32768
    return rms, max(abs(s) for s in samples) / 32768


def speak(who, text):
    voice, pitch, speed = VOICES[who]
    wav = run(["espeak-ng", "-v", voice, "-p", str(pitch), "-s", str(speed), "--stdout"],
              text.encode())
    trim = ["silence", "1", "0.01", "0.5%", "reverse"]
    pcm = run(["sox", "-D", "--ignore-length", "-t", "wav", "-", *PCM, "-L", "-",
               "gain", "-6", "rate", "8000", *trim, *trim], wav)
    rms, peak = rms_and_peak(pcm)
    gain = min(TARGET_RMS / rms, PEAK_LIMIT / peak)
    alaw = run(["sox", "-D", *PCM, "-L", "-v", str(gain), "-", *ALAW, "-"], pcm)
    return alaw + SILENCE * (-len(alaw) % FRAME_BYTES)


def lines_of(script):
    return [event for event in script["timeline"] if "say" in event]


def regenerate(script):
    for old in pathlib.Path(".").glob("*.al"):
        old.unlink()
    old_end = new_end = 0
    for event in lines_of(script):
        say = event["say"]
        audio = speak(say["who"], say["text"])
        pathlib.Path(say["audio"]).write_bytes(audio)
        at_ms = new_end + event["at_ms"] - old_end
        old_end = event["at_ms"] + say.get("duration_ms", 0)
        event["at_ms"], say["duration_ms"] = at_ms, len(audio) // BYTES_PER_MS
        new_end = at_ms + say["duration_ms"]
    script["timeline"].sort(key=lambda event: event["at_ms"])


def write(script):
    """One person or event a line, so that a change reads well in a diff."""
    def value(item):
        return json.dumps(item, ensure_ascii=False)

    def rows(items):
        return "[\n" + ",\n".join("    " + value(item) for item in items) + "\n  ]"

    fields = [f'  "{key}": {rows(item) if isinstance(item, list) else value(item)}'
              for key, item in script.items()]
    text = "{\n" + ",\n".join(fields) + "\n}\n"
    pathlib.Path("script.json").write_text(text, encoding="utf-8")


def check_line(event, problems):
    say, path = event["say"], pathlib.Path(event["say"]["audio"])
    if not path.is_file():
        return problems.append(f"{path}: missing")
    audio = path.read_bytes()
    if not audio or len(audio) != say["duration_ms"] * BYTES_PER_MS:
        return problems.append(f"{path}: {len(audio)} bytes are not {say['duration_ms']} ms")
    rms, _ = rms_and_peak(run(["sox", *ALAW, "-", *PCM, "-L", "-"], audio))
    if rms < SILENT_RMS:
        problems.append(f"{path}: too quiet, RMS {rms:.3f}")


def check_presence(script, problems):
    """Who acts is in the meeting, does not talk over themselves, and one shares at a time."""
    keys = {person["key"] for person in script["people"]}
    present, busy_until, sharing = set(), {}, False
    for event in script["timeline"]:
        at_ms = event["at_ms"]
        (kind,) = event.keys() - {"at_ms"}
        body = event[kind]
        who = body.get("who") if isinstance(body, dict) else body
        if kind == "join":
            if who not in keys or who in present:
                problems.append(f"{at_ms}: {who} cannot join")
            present.add(who)
        elif kind == "share_stop":
            if not sharing:
                problems.append(f"{at_ms}: nobody shares")
            sharing = False
            continue
        talking = busy_until.get(who, 0) > at_ms
        if who not in present or (talking and kind in ("say", "leave")):
            problems.append(f"{at_ms}: {who} is away or still talking")
        if kind == "say":
            busy_until[who] = at_ms + body["duration_ms"]
        elif kind == "leave":
            present.discard(who)
        elif kind == "share_start":
            if sharing:
                problems.append(f"{at_ms}: a share is on already")
            sharing = True
        elif kind not in ("join", "chat"):
            problems.append(f"{at_ms}: unknown event {kind}")
    if sharing or max(busy_until.values()) > script["end"]["at_ms"]:
        problems.append("somebody still shares or talks at the end")


def check(script):
    problems = []
    times = [event["at_ms"] for event in script["timeline"]] + [script["end"]["at_ms"]]
    if times != sorted(times):
        problems.append("the timeline is not sorted by at_ms")
    ids = [person["user_id"] for person in script["people"]]
    if len(set(ids)) != len(ids) or not all(0 < i < 2**31 for i in ids):
        problems.append("user_ids must be distinct and fit int32")
    named = [event["say"]["audio"] for event in lines_of(script)]
    stray = {path.name for path in pathlib.Path(".").glob("*.al")} - set(named)
    if stray or len(set(named)) != len(named):
        problems.append(f"audio named by no line, or by two: {sorted(stray)}")
    for event in lines_of(script):
        check_line(event, problems)
    check_presence(script, problems)
    return problems


script = json.loads(pathlib.Path("script.json").read_text(encoding="utf-8"))
if sys.argv[1:] != ["check"]:
    regenerate(script)
    write(script)
problems = check(script)
spoken_ms = sum(event["say"]["duration_ms"] for event in lines_of(script))
print(f"{len(lines_of(script))} lines, {spoken_ms / 1000:.1f} s of speech, "
      f"{spoken_ms * BYTES_PER_MS} bytes, meeting {script['end']['at_ms'] / 1000:.0f} s")
sys.exit("\n".join(problems) or None)
PYTHON
