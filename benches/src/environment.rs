//! Python environments of this program's own, one for each package that a peer needs.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::peers::output;

/// A package of the registry, and what it is imported as.
#[derive(Clone, Copy)]
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) module: &'static str,
}

impl Package {
    /// The interpreter of an environment that holds the package, beside this program. Made with `base` where
    /// it is not there yet and may be installed.
    ///
    /// # Errors
    /// If it cannot be installed, or must not be.
    pub(crate) fn interpreter(self, base: &Path, install: bool) -> Result<PathBuf, String> {
        let environment = Environment::of(self.name)?;
        let import = || evaluate(&environment.interpreter, self.module, "None");
        if install && import().is_err() {
            environment.make(base)?;
            environment.install(&format!("{}=={}", self.name, self.version))?;
        }
        import().map(|_| environment.interpreter.clone())
    }
}

/// The interpreter of an environment that holds the package of this project as its users get it: built as
/// `pip install` builds it. Anew where a source has changed.
///
/// # Errors
/// If it cannot be built or installed.
pub(crate) fn of_this_project(base: &Path) -> Result<PathBuf, String> {
    let environment = Environment::of("myrmidon")?;
    if evaluate(&environment.interpreter, "pip", "None").is_err() {
        environment.make(base)?;
    }
    environment.install(concat!(env!("CARGO_MANIFEST_DIR"), "/../python"))?;
    Ok(environment.interpreter)
}

struct Environment {
    folder: PathBuf,
    interpreter: PathBuf,
}

impl Environment {
    fn of(name: &str) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let folder = program.with_file_name(format!("{name}-environment"));
        Ok(Self { interpreter: folder.join("bin").join("python"), folder })
    }

    fn make(&self, base: &Path) -> Result<(), String> {
        output(Command::new(base).args(["-m", "venv", "--clear"]).arg(&self.folder)).map(drop)
    }

    fn install(&self, what: &str) -> Result<(), String> {
        eprintln!("installing {what} into {}", self.folder.display());
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", what];
        output(Command::new(&self.interpreter).args(pip)).map(drop)
    }
}

/// What an expression gives once `module` is imported.
///
/// # Errors
/// The last line of what went wrong.
pub(crate) fn evaluate(interpreter: &Path, module: &str, expression: &str) -> Result<String, String> {
    let text =
        output(Command::new(interpreter).args(["-c", &format!("import {module}; print({expression})")]));
    text.map(|text| text.trim().to_owned())
        .map_err(|error| error.lines().last().unwrap_or("no answer").to_owned())
}
