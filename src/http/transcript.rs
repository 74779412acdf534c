pub async fn download() {}
