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
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let environment = program.with_file_name(format!("{}-environment", self.name));
        let interpreter = environment.join("bin").join("python");
        let import = || evaluate(&interpreter, self.module, "None");
        if install && import().is_err() {
            eprintln!("installing {} {} into {}", self.name, self.version, environment.display());
            output(Command::new(base).args(["-m", "venv", "--clear"]).arg(&environment))?;
            let wanted = format!("{}=={}", self.name, self.version);
            let quiet = ["--quiet", "--disable-pip-version-check"];
            output(Command::new(&interpreter).args(["-m", "pip", "install"]).args(quiet).arg(wanted))?;
        }
        import().map(|_| interpreter)
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
