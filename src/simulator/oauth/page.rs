//! The HTML pages of the authorize endpoint (pure).

use crate::simulator::settings::User;

/// The page that asks the user. Its form posts to the page's own URL, including the query.
pub(super) fn consent_page(client_id: &str, scopes: &[String], users: &[User]) -> String {
    let people: String =
        users.iter().enumerate().map(|(index, user)| user_button(index, user)).collect();
    let scopes: String =
        scopes.iter().map(|scope| format!("<li>{}</li>", escape_html(scope))).collect();
    html_page(&format!(
        "<h1>Allow this app?</h1>\
         <p><b>{}</b> asks for access to your Zoom account. This is the simulator: nobody's \
         account is touched.</p>\
         <form method=\"post\"><fieldset><legend>Sign in as</legend>{people}</fieldset>\
         <ul>{scopes}</ul>\
         <button name=\"decision\" value=\"allow\">Allow</button> \
         <button name=\"decision\" value=\"deny\">Deny</button></form>",
        escape_html(client_id)
    ))
}

fn user_button(index: usize, user: &User) -> String {
    let checked = if index == 0 { " checked" } else { "" };
    format!(
        "<p><label><input type=\"radio\" name=\"user_id\" value=\"{}\"{checked}> {} \
         <small>{}</small></label></p>",
        escape_html(&user.id),
        escape_html(&user.name),
        escape_html(&user.email)
    )
}

/// The page that shows why a request was refused.
pub(super) fn error_page(code: u32, message: &str) -> String {
    html_page(&format!(
        "<h1>{}</h1><p>Error code {code}. Nothing was allowed.</p>",
        escape_html(message)
    ))
}

fn html_page(body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Zoom simulator</title>\
         <style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:3rem auto;\
         padding:0 1rem}}button{{font:inherit;padding:.5rem 1.5rem}}</style></head>\
         <body><main>{body}</main></body></html>"
    )
}

fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_a_script_are_escaped() {
        let user = User {
            id: "\"><script>".to_owned(),
            name: "<b>Ana</b> & 'Bo'".to_owned(),
            email: "a@example.com".to_owned(),
        };
        let html = consent_page("client", &[], &[user]);
        assert!(!html.contains("<script>") && !html.contains("<b>Ana"));
        assert!(html.contains("&lt;b&gt;Ana&lt;/b&gt; &amp; &#39;Bo&#39;"));
    }
}
