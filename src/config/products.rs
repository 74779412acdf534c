//! The settings of the Video SDK and of handshake ids.

use super::read::Reader;
use crate::model::Product;
use crate::secret::Secret;
use crate::zoom::Credentials;
use crate::zoom::signature::HandshakeIds;

/// The variables of a Video SDK app, which are set together.
pub(super) const VIDEO_NAMES: [&str; 3] =
    ["ZOOM_VIDEO_SDK_KEY", "ZOOM_VIDEO_SDK_SECRET", "ZOOM_VIDEO_SECRET_TOKEN"];

/// Reads the credentials and the secret token of a Video SDK app beside the General app (section 16). `None` after a
/// mistake, `Some(None)` if no Video SDK app is set.
pub(super) fn video_sdk(read: &mut Reader<'_>) -> Option<Option<(Credentials, Secret<String>)>> {
    let values = VIDEO_NAMES.map(|name| read.optional(name));
    if values.iter().all(Option::is_none) {
        return Some(None);
    }
    for (name, _) in VIDEO_NAMES.iter().zip(&values).filter(|(_, value)| value.is_none()) {
        read.wrong::<()>(name, "set with the other two of the Video SDK app, or none of them");
    }
    let [id, secret, secret_token] = values;
    let credentials = Credentials { id: id?, secret: Secret::new(secret?) };
    Some(Some((credentials, Secret::new(secret_token?))))
}

/// The products of the app of the variables, and of apps that name none.
pub(super) fn served(read: &mut Reader<'_>) -> Option<Vec<Product>> {
    let with_phone = read.flag("ZOOM_PHONE")?;
    Some(match with_phone {
        true => Product::ALL.to_vec(),
        false => Product::RELEASED.to_vec(),
    })
}

/// `None` after a mistake, `Some(None)` if it is not set.
pub(super) fn video_api(read: &mut Reader<'_>) -> Option<Option<Credentials>> {
    match (read.optional("ZOOM_VIDEO_API_KEY"), read.optional("ZOOM_VIDEO_API_SECRET")) {
        (None, None) => Some(None),
        (Some(id), Some(secret)) => Some(Some(Credentials { id, secret: Secret::new(secret) })),
        (None, _) => read.wrong("ZOOM_VIDEO_API_KEY", "set with its secret, or neither of them"),
        (_, None) => read.wrong("ZOOM_VIDEO_API_SECRET", "set with its key, or neither of them"),
    }
}

/// Reads `product` or `meeting_uuid` for all products, or pairs such as `webinar:meeting_uuid`.
pub(super) fn handshake_ids(read: &mut Reader<'_>) -> Option<HandshakeIds> {
    let text = read.text("RTMS_HANDSHAKE_ID_KEY").to_ascii_lowercase();
    let ids = match text.as_str() {
        "product" => Some(HandshakeIds::default()),
        "meeting_uuid" => Some(HandshakeIds { as_meeting: Product::ALL.to_vec() }),
        pairs => {
            let products: Option<Vec<_>> =
                pairs.split(',').map(|pair| product_of(pair.trim())).collect();
            products.map(|products| HandshakeIds {
                as_meeting: products.into_iter().flatten().collect(),
            })
        }
    };
    let form = "product, meeting_uuid, or pairs such as webinar:meeting_uuid, separated by commas, of \
                meeting, webinar, video_sdk, contact_center and phone";
    ids.or_else(|| read.wrong("RTMS_HANDSHAKE_ID_KEY", form))
}

/// `None` if the text is not a pair, `Some(None)` if the pair states the default.
fn product_of(pair: &str) -> Option<Option<Product>> {
    let (product, key) = pair.split_once(':')?;
    let product = Product::parse(product.trim())?;
    match key.trim() {
        "meeting_uuid" => Some(Some(product)),
        "product" => Some(None),
        _ => None,
    }
}
