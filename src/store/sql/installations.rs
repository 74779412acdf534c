//! Installations, their tokens, and states of the OAuth flow.

statements! {
    /// Finds or creates a user's installation and locks it until the transaction ends. Its tokens follow. No row if a
    /// newer install is stored.
    UPSERT_INSTALLATION = "
        INSERT INTO installations (id, account_id, user_id, display_name, email, scope,
                                   api_base_url, status, tokens_at_ms, generation, created_at_ms,
                                   updated_at_ms, installed_at_ms, app)
        VALUES ($1, $2, $3, $4, $5, $6, $7, 'connected', $8, 0, $8, $8, $8, $9)
        ON CONFLICT (app, account_id, user_id) DO UPDATE
           SET display_name = excluded.display_name, email = excluded.email,
               scope = excluded.scope, api_base_url = excluded.api_base_url,
               status = 'connected'
         WHERE installations.installed_at_ms <= excluded.installed_at_ms
        RETURNING id";

    INSTALLATION_OF = select_installation!("app = $3 AND account_id = $1 AND user_id = $2");

    /// Tokens of a new install: Zoom has invalidated the previous ones.
    SET_TOKENS = "
        UPDATE installations
           SET access_token = $2, refresh_token = $3, expires_at_ms = $4, tokens_at_ms = $5,
               installed_at_ms = $5, updated_at_ms = $5, generation = generation + 1,
               refresh_claim = NULL, refresh_until_ms = NULL
         WHERE id = $1";

    /// Tokens of a refresh, unless they were replaced meanwhile. A grant that was given up too early becomes valid
    /// again.
    REPLACE_TOKENS = "
        UPDATE installations
           SET access_token = $3, refresh_token = $4, expires_at_ms = $5, tokens_at_ms = $6,
               updated_at_ms = $6, generation = generation + 1, status = 'connected',
               refresh_claim = NULL, refresh_until_ms = NULL
         WHERE id = $1 AND generation = $2 AND status <> 'revoked'";

    /// The owner of the claim refreshes; an expired claim is free. The generation is the stale one: a caller after the
    /// refresh finds another.
    CLAIM_REFRESH = "
        UPDATE installations SET refresh_claim = $3, refresh_until_ms = $4
         WHERE id = $1 AND generation = $2 AND status = 'connected'
           AND (refresh_until_ms IS NULL OR refresh_until_ms <= $5)";

    RELEASE_REFRESH = "
        UPDATE installations SET refresh_claim = NULL, refresh_until_ms = NULL
         WHERE id = $1 AND refresh_claim = $2";

    GIVE_UP_GRANT = "
        UPDATE installations
           SET status = 'needs_reconnect', updated_at_ms = $3, refresh_claim = NULL,
               refresh_until_ms = NULL
         WHERE id = $1 AND generation = $2 AND status = 'connected'";

    REVOKE_INSTALLATION = "
        UPDATE installations
           SET status = 'revoked', access_token = NULL, refresh_token = NULL,
               expires_at_ms = NULL, display_name = NULL, email = NULL,
               generation = generation + 1, updated_at_ms = $2, refresh_claim = NULL,
               refresh_until_ms = NULL
         WHERE id = $1 AND status <> 'revoked'";

    /// The installations of an app ($5) that a user ($1, in the account $2) removed at $3: later ones stay.
    REVOKE_INSTALLATIONS_OF_USER = "
        UPDATE installations
           SET status = 'revoked', access_token = NULL, refresh_token = NULL,
               expires_at_ms = NULL, display_name = NULL, email = NULL,
               generation = generation + 1, updated_at_ms = $4, refresh_claim = NULL,
               refresh_until_ms = NULL
         WHERE app = $5 AND user_id = $1 AND (CAST($2 AS TEXT) IS NULL OR account_id = $2)
           AND installed_at_ms <= $3 AND status <> 'revoked'
        RETURNING id";

    INSTALLATION = select_installation!("id = $1");

    /// See `SESSIONS` for the list of apps ($3).
    INSTALLATIONS = select_installation!(
        "(CAST($1 AS TEXT) IS NULL OR id < $1)
            AND (CAST($3 AS TEXT) IS NULL OR $3 <> replace($3, ',' || app || ',', ''))
         ORDER BY id DESC LIMIT $2 + 0"
    );

    INSTALLATIONS_OF_USER = select_installation!(
        "app = $3 AND user_id = $1 AND (CAST($2 AS TEXT) IS NULL OR account_id = $2)
            AND status <> 'revoked' ORDER BY id"
    );

    /// An app's (`$3`) best one for a host (`$1`) or, after it, for an account (`$2`): working ones first, then the
    /// host's, then the newest tokens.
    FIND_INSTALLATION = select_installation!(
        "app = $3 AND (user_id = $1 OR account_id = $2) AND status <> 'revoked'
         ORDER BY CASE WHEN status = 'connected' THEN 0 ELSE 1 END,
                  CASE WHEN user_id = $1 THEN 0 ELSE 1 END, tokens_at_ms DESC, id
         LIMIT 1"
    );

    CONNECTED_INSTALLATIONS =
        select_installation!("app = $2 AND status = 'connected' ORDER BY id LIMIT $1 + 0");

    /// Grants with tokens from before `$1`, oldest first.
    IDLE_INSTALLATIONS = select_installation!(
        "status = 'connected' AND refresh_token IS NOT NULL AND tokens_at_ms < $1
         ORDER BY tokens_at_ms LIMIT $2 + 0"
    );

    /// Rows after `$1` with a text that the key with the prefix `$2` (of `$3` characters) has not sealed.
    SEALED_OTHERWISE = select_installation!(
        "id > $1 AND (substr(access_token, 1, CAST($3 AS INTEGER)) <> $2
                      OR substr(refresh_token, 1, CAST($3 AS INTEGER)) <> $2)
         ORDER BY id LIMIT $4 + 0"
    );

    /// Changes the seal but not the tokens, unless they were replaced meanwhile.
    RESEAL_TOKENS = "
        UPDATE installations SET access_token = $3, refresh_token = $4
         WHERE id = $1 AND generation = $2";

    /// One row for the first use of this state.
    USE_OAUTH_STATE = "
        INSERT INTO oauth_states (id, expires_at_ms, app) VALUES ($1, $2, $3)
        ON CONFLICT (id) DO NOTHING";

    PRUNE_OAUTH_STATES = "
        DELETE FROM oauth_states
         WHERE id IN (SELECT id FROM oauth_states WHERE expires_at_ms < $1 LIMIT $2 + 0)";
}
