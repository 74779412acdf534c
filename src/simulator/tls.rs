//! TLS: a private certificate authority and a certificate for `localhost` or another host name.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa};
use rcgen::{Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::SimulatorError;

/// The files in a `tls_dir`.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The CA certificate that clients must trust: `RTMS_CA_FILE`, or `ZM_RTMS_CA` for Zoom's own client.
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl TlsFiles {
    /// Uses the three files in `folder`. If one is missing, generates all of them, valid for `host`, `localhost` and
    /// 127.0.0.1.
    pub fn ensure(folder: &Path, host: &str) -> Result<Self, SimulatorError> {
        let files = Self {
            ca: folder.join("ca.pem"),
            cert: folder.join("cert.pem"),
            key: folder.join("key.pem"),
        };
        // All or none: a certificate from another authority would not verify.
        let all_there = [&files.ca, &files.cert, &files.key].iter().all(|file| file.exists());
        if !all_there {
            fs::create_dir_all(folder)?;
            files.make(host)?;
        }
        Ok(files)
    }

    fn make(&self, host: &str) -> Result<(), SimulatorError> {
        let ca_key = KeyPair::generate()?;
        let mut ca = certificate_params(Vec::new())?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        ca.distinguished_name.push(DnType::CommonName, "rtmsd simulator CA");
        let ca_pem = ca.self_signed(&ca_key)?.pem();

        // The name as well as the address, because Zoom's own client does not match IP SANs (section 22).
        let names = ["localhost", "127.0.0.1", host].map(str::to_owned);
        let mut server =
            certificate_params(names.into_iter().collect::<BTreeSet<_>>().into_iter().collect())?;
        server.distinguished_name.push(DnType::CommonName, host);
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let cert = server.signed_by(&key, &Issuer::new(ca, ca_key))?;

        fs::write(&self.ca, ca_pem)?;
        fs::write(&self.cert, cert.pem())?;
        write_private(&self.key, &key.serialize_pem())?;
        Ok(())
    }

    /// The configuration of the TLS server, for TLS 1.2 and 1.3.
    pub(super) fn server_config(&self) -> Result<ServerConfig, SimulatorError> {
        let chain = CertificateDer::pem_file_iter(&self.cert)?.collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_file(&self.key)?;
        let config = ServerConfig::builder_with_provider(crypto_provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(config)
    }
}

/// The TLS configuration of the webhook sender. It trusts the public authorities, and the simulator's own if any.
pub(super) fn client_config(own: Option<&TlsFiles>) -> Result<ClientConfig, SimulatorError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(files) = own {
        roots.add(CertificateDer::from_pem_file(&files.ca)?)?;
    }
    let config = ClientConfig::builder_with_provider(crypto_provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn crypto_provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificate_params(names: Vec<String>) -> Result<CertificateParams, SimulatorError> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    // Fixed dates, and a long validity: a folder is kept over many runs.
    params.not_before = rcgen::date_time_ymd(2025, 1, 1);
    params.not_after = rcgen::date_time_ymd(2045, 1, 1);
    Ok(params)
}

/// Writes the key so that only its owner can read it.
#[cfg(unix)]
fn write_private(path: &Path, content: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    // The mode is part of the creation: a later chmod would leave a moment in which others can read the key.
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path)?.write_all(content.as_bytes())
}

#[cfg(not(unix))]
fn write_private(path: &Path, content: &str) -> std::io::Result<()> {
    fs::write(path, content)
}
