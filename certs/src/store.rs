//! Files: never overwritten, never readable by others, never half written.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::CertsError;

/// The authority's certificate, in its own directory and in every node's.
pub(crate) const CA_CERT: &str = "ca.crt";
/// The authority's private key.
pub(crate) const CA_KEY: &str = "ca.key";
/// A node's certificate.
pub(crate) const NODE_CERT: &str = "node.crt";
/// A node's private key.
pub(crate) const NODE_KEY: &str = "node.key";

/// No certificate file of ours is near this; it bounds what a wrong path can make us read (L24).
const MAX_FILE: u64 = 64 * 1024;

const PRIVATE_DIR: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

/// Makes `dir` and its missing parents, reachable by this user alone. An existing one is kept.
pub(crate) fn create_private_dir(dir: &Path, fix: &str) -> Result<(), CertsError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, PRIVATE_DIR);
    builder.create(dir).map_err(|e| CertsError::io("create", dir, e, fix))
}

/// Fails if one of `names` is in `dir`, so that a set of files is written whole or not at all.
pub(crate) fn check_absent(dir: &Path, names: &[&str], fix: &str) -> Result<(), CertsError> {
    match names.iter().map(|name| dir.join(name)).find(|path| path.symlink_metadata().is_ok()) {
        Some(path) => Err(CertsError::Exists { path, fix: fix.to_owned() }),
        None => Ok(()),
    }
}

/// Writes `dir/name` with mode 0600 by way of a synced temporary file. Returns the path.
pub(crate) fn write_new(dir: &Path, name: &str, text: &str) -> Result<PathBuf, CertsError> {
    let path = dir.join(name);
    let failed = |e| CertsError::io("write", &path, e, "check that the directory is yours and has room");
    // Temporary files are made with mode 0600, and persisting keeps it.
    let mut temp = tempfile::NamedTempFile::new_in(dir).map_err(failed)?;
    temp.write_all(text.as_bytes()).and_then(|()| temp.as_file().sync_all()).map_err(failed)?;
    match temp.persist_noclobber(&path) {
        Ok(_) => sync_dir(dir).map_err(failed)?,
        Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => {
            let fix = "move it away, or name another directory".to_owned();
            return Err(CertsError::Exists { path, fix });
        }
        Err(e) => return Err(failed(e.error)),
    }
    Ok(path)
}

/// Reads `dir/name`, a secret: refused if others can reach it.
pub(crate) fn read_secret(dir: &Path, name: &str, fix: &str) -> Result<String, CertsError> {
    check_private(&dir.join(name), PRIVATE_FILE)?;
    read(dir, name, fix)
}

/// Reads `dir/name`.
pub(crate) fn read(dir: &Path, name: &str, fix: &str) -> Result<String, CertsError> {
    let path = dir.join(name);
    let failed = |e| CertsError::io("read", &path, e, fix);
    if fs::metadata(&path).map_err(failed)?.len() > MAX_FILE {
        return Err(CertsError::unusable(&path, "it is far too large for PEM of a certificate or key", fix));
    }
    fs::read_to_string(&path).map_err(failed)
}

/// The certificates in `dir/name`: at least one, at most three (L24).
pub(crate) fn read_chain(
    dir: &Path,
    name: &str,
    fix: &str,
) -> Result<Vec<CertificateDer<'static>>, CertsError> {
    let text = read(dir, name, fix)?;
    let path = dir.join(name);
    let chain = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| CertsError::unusable(&path, e, fix))?;
    match chain.len() {
        1..=3 => Ok(chain),
        0 => Err(CertsError::unusable(&path, "it holds no PEM certificate", fix)),
        n => Err(CertsError::unusable(&path, format!("it holds {n} certificates, 3 is the limit"), fix)),
    }
}

/// Fails if others can reach the directory `dir`.
pub(crate) fn check_private_dir(dir: &Path) -> Result<(), CertsError> {
    check_private(dir, PRIVATE_DIR)
}

#[cfg(unix)]
fn check_private(path: &Path, wanted: u32) -> Result<(), CertsError> {
    use std::os::unix::fs::PermissionsExt;
    // A missing file is reported by the read that follows.
    let Ok(found) = fs::metadata(path) else { return Ok(()) };
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(CertsError::Exposed { path: path.to_owned(), mode, wanted }) }
}

#[cfg(not(unix))]
fn check_private(_path: &Path, _wanted: u32) -> Result<(), CertsError> {
    Ok(())
}

/// A rename survives a power cut only once its directory is synced.
fn sync_dir(dir: &Path) -> io::Result<()> {
    if cfg!(unix) { fs::File::open(dir)?.sync_all() } else { Ok(()) }
}
