//! TLS in front of the engine, whose certificate is of an authority of its own.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::process::Variable;

/// Where Debian keeps whom it trusts: a file with all roots, and files and links for each.
const STORE: &str = "/etc/ssl/certs";
const ALL: &str = "ca-certificates.crt";

/// How many roots of Amazon's a function carries.
const ROOTS: usize = 5;

const CONFIG: &str = "\
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = IP:127.0.0.1, DNS:localhost
";

/// What makes the authority, the leaf's key and request, and the leaf. RSA, as AWS has it.
const STEPS: [&str; 3] = [
    "req -x509 -newkey rsa:2048 -nodes -sha256 -days 2 -config config -extensions authority \
     -subj /CN=authority -keyout authority.key -out authority.pem",
    "req -new -newkey rsa:2048 -nodes -sha256 -config config -subj /CN=localhost \
     -keyout leaf.key -out leaf.csr",
    "x509 -req -in leaf.csr -sha256 -days 2 -CA authority.pem -CAkey authority.key \
     -CAcreateserial -extfile config -extensions leaf -out leaf.pem",
];

/// An authority, the certificate that it gave the engine, and stores that trust it, in a folder
/// that goes with it.
pub(crate) struct Authority {
    folder: TempDir,
}

impl Authority {
    /// Makes one; needs openssl.
    pub(crate) fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("bench-tls-").tempdir()?;
        let path = folder.path();
        fs::write(path.join("config"), CONFIG)?;
        for step in STEPS {
            openssl(path, step)?;
        }
        let root = fs::read_to_string(path.join("authority.pem"))?;
        // As many as without this file, so that they take as long to read.
        fs::write(path.join("bundle.pem"), root.repeat(ROOTS))?;
        store(&path.join("store"), &root).context("no copy of the machine's roots")?;
        Ok(Self { folder })
    }

    /// What makes functions trust it. Ours read `AWS_CA_BUNDLE` in place of Amazon's roots.
    ///
    /// Where neither of the other two is set, rustls-native-certs looks for the file with all roots
    /// and for the folder, reads the file, and then each file of the folder that it has not read
    /// under another name. Where both are set it does the same with what they name. So they name a
    /// copy of the folder and the file in it: with the file elsewhere, all roots would be read once
    /// more than on a machine where nothing is set.
    pub(crate) fn variables(&self) -> Vec<Variable> {
        let path = |name: &str| -> OsString { self.folder.path().join(name).into() };
        vec![
            ("AWS_CA_BUNDLE", path("bundle.pem")),
            ("SSL_CERT_DIR", path("store")),
            ("SSL_CERT_FILE", path(&format!("store/{ALL}"))),
        ]
    }

    /// What takes connections with its certificate.
    pub(crate) fn acceptor(&self) -> Result<TlsAcceptor> {
        let folder = self.folder.path();
        let leaf = CertificateDer::from_pem_file(folder.join("leaf.pem"))?;
        let key = PrivateKeyDer::from_pem_file(folder.join("leaf.key"))?;
        // Named, or the features of other crates would choose.
        let provider = CryptoProvider {
            kx_groups: vec![kx_group::X25519],
            ..default_provider()
        };
        let config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![leaf], key)?;
        Ok(Arc::new(config).into())
    }
}

fn openssl(folder: &Path, arguments: &str) -> Result<()> {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .context("cannot start openssl")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "openssl {arguments}: {said}");
    Ok(())
}

/// Makes a copy of the machine's store that has one root more.
fn store(folder: &Path, root: &str) -> Result<()> {
    fs::create_dir(folder)?;
    for entry in fs::read_dir(STORE)? {
        let entry = entry?;
        if entry.file_name() != ALL {
            // Most are links, many of them to others of the folder: they stay what they are.
            let target = fs::read_link(entry.path()).unwrap_or_else(|_| entry.path());
            symlink(target, folder.join(entry.file_name()))?;
        }
    }
    let all = fs::read_to_string(Path::new(STORE).join(ALL))?;
    fs::write(folder.join(ALL), all + root)?;
    Ok(())
}

/// Relays what comes over TLS to the engine, connection by connection.
pub(crate) async fn serve(listener: TcpListener, acceptor: TlsAcceptor, engine: SocketAddr) {
    while let Ok((client, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            if let Err(error) = relay(client, &acceptor, engine).await {
                eprintln!("TLS: {error}");
            }
        });
    }
}

async fn relay(client: TcpStream, acceptor: &TlsAcceptor, engine: SocketAddr) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut engine = TcpStream::connect(engine).await?;
    engine.set_nodelay(true)?;
    let mut client = acceptor.accept(client).await?;
    // A function that is ended does not take its leave.
    let _ = copy_bidirectional(&mut client, &mut engine).await;
    Ok(())
}
