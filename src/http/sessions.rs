pub async fn list() {}
pub async fn show() {}
