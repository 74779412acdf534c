pub async fn subscribe() {}
