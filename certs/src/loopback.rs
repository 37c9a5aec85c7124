//! The private cluster that all processes of one user on one machine share (D10).

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::issue::random;
use crate::store::{self, CA_CERT, CA_KEY};
use crate::{Authority, CertsError};

/// How long the leaf of a runtime lives; it is renewed in memory.
pub(crate) const LEAF_TTL: Duration = Duration::from_secs(86_400);

const CLUSTER: &str = "loopback";
const LOCK: &str = "lock";

/// Where the private cluster of this user lies: `MYRMIDON_STATE_DIR/loopback` if that is set, else
/// `XDG_STATE_HOME/myrmidon/loopback`, else `~/.local/state/myrmidon/loopback`.
pub fn state_dir() -> Result<PathBuf, CertsError> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("MYRMIDON_STATE_DIR")
        .or_else(|| set("XDG_STATE_HOME").map(|dir| dir.join("myrmidon")))
        .or_else(|| std::env::home_dir().map(|home| home.join(".local/state/myrmidon")));
    base.map(|dir| dir.join("loopback")).ok_or(CertsError::NoStateDir)
}

/// Loads the private authority from `dir`, or makes it: once, whoever comes first.
pub(crate) fn authority(dir: &Path) -> Result<Authority, CertsError> {
    store::create_private_dir(dir, "set MYRMIDON_STATE_DIR to a directory that you may write to")?;
    store::check_private_dir(dir)?;
    let _held = lock(dir)?;
    if dir.join(CA_CERT).exists() {
        return Authority::load(dir).map_err(|e| start_over(dir, &e));
    }
    // A key without its certificate is what a crash in the middle of making them left.
    match fs::remove_file(dir.join(CA_KEY)) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(CertsError::io("remove", &dir.join(CA_KEY), e, "remove it by hand"));
        }
        _ => {}
    }
    let authority = Authority::generate(CLUSTER)?;
    authority.write(dir)?;
    Ok(authority)
}

/// A name that no other runtime of this user has.
pub(crate) fn node_name() -> Result<String, CertsError> {
    Ok(format!("local-{:016x}", u64::from_be_bytes(random()?)))
}

/// Held until the file is dropped, also by a process that dies.
fn lock(dir: &Path) -> Result<File, CertsError> {
    let path = dir.join(LOCK);
    let failed =
        |e| CertsError::io("lock", &path, e, "set MYRMIDON_STATE_DIR to a directory on a local disk");
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    fs4::FileExt::lock(&file).map_err(failed)?;
    Ok(file)
}

/// Permissions keep their own advice; anything else is cured by making the private cluster anew.
fn start_over(dir: &Path, error: &CertsError) -> CertsError {
    match error {
        CertsError::Exposed { path, mode, wanted } => {
            CertsError::Exposed { path: path.clone(), mode: *mode, wanted: *wanted }
        }
        other => {
            let fix = format!("stop your programs and start over with: rm -r {}", dir.display());
            CertsError::unusable(dir, other, fix)
        }
    }
}
