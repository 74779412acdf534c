//! Looks at the certificate of a server: what it presents, who trusts it, and until when. Nothing is sent over the
//! connection.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, SignatureScheme,
};
use tokio::net::TcpStream;

use super::race::race_addresses;
use super::{DialError, Network, Target};
use crate::tls;

/// A time at which every certificate has expired, Unix seconds: the year 9999.
const END_OF_TIME_S: u64 = 253_402_300_799;

/// Who judges a certificate.
#[derive(Debug, Clone)]
pub struct Verifiers {
    pub provider: Arc<CryptoProvider>,
    /// With public authorities alone, as strangers judge it.
    pub public: Arc<WebPkiServerVerifier>,
    /// With the authorities of the daemon.
    pub daemon: Arc<WebPkiServerVerifier>,
}

/// What a server presents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// How many certificates it sends: its own and those above it.
    pub count: usize,
    /// When its own expires, Unix milliseconds; `None` if it cannot be read.
    pub not_after_ms: Option<i64>,
    pub by_public: Trust,
    pub by_daemon: Trust,
}

/// Whether a certificate is trusted, and if not, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    Trusted,
    Expired,
    NotYetValid,
    /// It is for other host names.
    OtherName,
    /// No known authority vouches for it, or its chain is incomplete.
    UnknownIssuer,
    Other(String),
}

impl Network {
    /// Connects with TLS, through the proxy if there is one, and judges the certificate at this time. The caller bounds
    /// the time.
    ///
    /// # Errors
    /// There is no connection, or no TLS on it.
    pub async fn certificate(
        &self,
        host: &str,
        port: u16,
        verifiers: &Verifiers,
        now_ms: i64,
    ) -> Result<Presented, DialError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| DialError::TlsName)?;
        let recorder = Arc::new(Recorder::new(&verifiers.provider));
        let config = ClientConfig::builder_with_provider(Arc::clone(&verifiers.provider))
            .with_safe_default_protocol_versions()
            .expect("the provider has the default versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&recorder) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        let network = self.with_websocket_tls(tls::shared(config));
        let proxy = self.proxy.proxy_for(host, port);
        let (first, at) = proxy.map_or((host, port), |proxy| (&*proxy.host, proxy.port));
        let addresses = self.resolver.addresses(first, at).await?;
        let (_, tcp) = race_addresses(&addresses, TcpStream::connect).await?;
        network.transport(tcp, proxy, Target { host, port, is_tls: true, url: "" }).await?;
        // A handshake without a certificate fails.
        let chain = recorder.chain.get().map(Vec::as_slice).unwrap_or_default();
        Ok(judge(chain, &name, verifiers, now_ms))
    }
}

fn judge(
    chain: &[CertificateDer<'static>],
    name: &ServerName<'_>,
    verifiers: &Verifiers,
    now_ms: i64,
) -> Presented {
    let verify = |verifier: &WebPkiServerVerifier, at: Duration| {
        let (own, above) = chain.split_first().ok_or(TlsError::NoCertificatesPresented)?;
        let at = UnixTime::since_unix_epoch(at);
        verifier.verify_server_cert(own, above, name, &[], at).map(drop)
    };
    let now = Duration::from_millis(now_ms.max(0).unsigned_abs());
    // The time at which a certificate ends is part of the error after it.
    let not_after_ms = match verify(&verifiers.public, Duration::from_secs(END_OF_TIME_S)) {
        Err(TlsError::InvalidCertificate(CertificateError::ExpiredContext {
            not_after, ..
        })) => i64::try_from(not_after.as_secs()).ok().and_then(|s| s.checked_mul(1000)),
        _ => None,
    };
    Presented {
        count: chain.len(),
        not_after_ms,
        by_public: trust(verify(&verifiers.public, now)),
        by_daemon: trust(verify(&verifiers.daemon, now)),
    }
}

fn trust(verified: Result<(), TlsError>) -> Trust {
    use CertificateError as E;
    match verified {
        Ok(()) => Trust::Trusted,
        Err(TlsError::InvalidCertificate(E::Expired | E::ExpiredContext { .. })) => Trust::Expired,
        Err(TlsError::InvalidCertificate(E::NotValidYet | E::NotValidYetContext { .. })) => {
            Trust::NotYetValid
        }
        Err(TlsError::InvalidCertificate(
            E::NotValidForName | E::NotValidForNameContext { .. },
        )) => Trust::OtherName,
        Err(TlsError::InvalidCertificate(E::UnknownIssuer)) => Trust::UnknownIssuer,
        Err(error) => Trust::Other(error.to_string()),
    }
}

/// Takes every certificate and keeps it. Only for connections over which nothing is sent.
#[derive(Debug)]
struct Recorder {
    chain: OnceLock<Vec<CertificateDer<'static>>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Recorder {
    fn new(provider: &CryptoProvider) -> Self {
        Self { chain: OnceLock::new(), algorithms: provider.signature_verification_algorithms }
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let all = std::iter::once(end_entity).chain(intermediates);
        self.chain
            .get_or_init(|| all.map(|certificate| certificate.clone().into_owned()).collect());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
