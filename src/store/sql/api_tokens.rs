//! API tokens that were made over the API.

statements! {
    /// No row if there are $9 of the same apps: it must not show how many others have.
    INSERT_API_TOKEN = "
        INSERT INTO api_tokens (id, name, hash, scopes, installations, apps, created_at_ms,
                                expires_at_ms)
        SELECT $1, $2, $3, $4, CAST($5 AS TEXT), CAST($6 AS TEXT), CAST($7 AS BIGINT),
               CAST($8 AS BIGINT)
         WHERE (SELECT COUNT(*) FROM api_tokens
                 WHERE apps IS NOT DISTINCT FROM CAST($6 AS TEXT)) < CAST($9 AS BIGINT)";

    API_TOKENS = "
        SELECT id, name, hash, scopes, installations, apps, created_at_ms, expires_at_ms,
               last_used_ms
          FROM api_tokens ORDER BY id";

    DELETE_API_TOKEN = "DELETE FROM api_tokens WHERE id = $1";

    /// Not again within the minute.
    NOTE_TOKEN_USED = "
        UPDATE api_tokens SET last_used_ms = $2
         WHERE id = $1 AND (last_used_ms IS NULL OR last_used_ms <= $3)";
}
