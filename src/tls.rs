//! The TLS configuration of every outgoing connection: one crypto provider, the public authorities, and those in the
//! operator's CA file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{self, CertificateDer};
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

/// Why TLS cannot be configured.
#[derive(Debug, Error)]
pub enum TlsError {
    #[error("cannot read certificates from {0}: {1}")]
    CaFile(PathBuf, #[source] pki_types::pem::Error),
    #[error("{0} contains no usable CA certificate")]
    NoCertificate(PathBuf),
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
}

/// The configuration for `wss://` and `https://`. It trusts Mozilla's list and the authorities in `extra_ca` (PEM).
pub fn client_config(extra_ca: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(extra_ca)?)
        .with_no_client_auth();
    Ok(shared(config))
}

/// Shares a configuration with the connections of `net::tls_stream`, which take the keys from rustls after the handshake.
pub fn shared(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.enable_secret_extraction = true;
    Arc::new(config)
}

/// What [`client_config`] checks certificates with.
pub fn server_verifier(extra_ca: Option<&Path>) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    let roots = Arc::new(roots(extra_ca)?);
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider()).build();
    Ok(verifier.expect("there are authorities, and no revocation lists that could be wrong"))
}

/// The only provider of cryptography.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn roots(extra_ca: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(path) = extra_ca {
        add_file(&mut roots, path)?;
    }
    Ok(roots)
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), TlsError> {
    let cannot_read = |error| TlsError::CaFile(path.to_owned(), error);
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(cannot_read)?;
    // Certificates that cannot be parsed are skipped, as long as one can.
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 { Err(TlsError::NoCertificate(path.to_owned())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_or_empty_ca_file_is_named_in_the_error() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("ca.pem");
        let error = client_config(Some(&missing)).unwrap_err().to_string();
        assert!(error.contains("ca.pem"), "{error}");
        std::fs::write(&missing, "no certificate").unwrap();
        let error = client_config(Some(&missing)).unwrap_err();
        assert!(matches!(error, TlsError::NoCertificate(_)));
    }

    #[test]
    fn the_public_authorities_are_built_in() {
        assert!(client_config(None).is_ok());
    }
}
