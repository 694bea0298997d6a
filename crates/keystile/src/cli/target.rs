//! Which configuration and data directory a command is about.

use std::path::{Path, PathBuf};

use clap::Args;

/// The configuration file where neither argument nor environment names one.
pub(super) const CONFIG_DEFAULT: &str = "keystile.toml";
const DATA_DEFAULT: &str = "keystile-data";

/// What a command is about. At least one of the two is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// The data directory; goes before the one that the file names.
    pub data: Option<PathBuf>,
}

impl Target {
    /// What `KEYSTILE_CONFIG` and `KEYSTILE_DATA` name; empty values are as good as none.
    pub fn of_environment() -> Self {
        let path =
            |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self { config: path("KEYSTILE_CONFIG"), data: path("KEYSTILE_DATA") }
    }

    fn is_empty(&self) -> bool {
        self.config.is_none() && self.data.is_none()
    }
}

/// Where to find the store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct TargetArguments {
    /// The configuration file.
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Where",
        help = "Configuration file [default: ./keystile.toml if it exists] [env: KEYSTILE_CONFIG]"
    )]
    pub config: Option<PathBuf>,
    /// The data directory.
    #[arg(
        long,
        value_name = "DIR",
        help_heading = "Where",
        help = "Data directory, instead of the one that the configuration names \
                [default: ./keystile-data] [env: KEYSTILE_DATA]"
    )]
    pub data: Option<PathBuf>,
    /// Whether a store may be made.
    #[arg(
        long,
        help_heading = "Where",
        help = "Create a new store if there is none; by default only `run` does"
    )]
    pub create: bool,
}

impl TargetArguments {
    /// What the arguments name, otherwise the environment, otherwise what is in the current directory.
    pub fn resolve(&self) -> Target {
        self.choose(Target::of_environment(), Path::new(CONFIG_DEFAULT).exists())
    }

    /// The environment counts only where no argument is given, so that an argument never
    /// meets half of another installation.
    fn choose(&self, environment: Target, config_exists: bool) -> Target {
        let given = Target { config: self.config.clone(), data: self.data.clone() };
        if !given.is_empty() {
            given
        } else if !environment.is_empty() {
            environment
        } else if config_exists {
            Target { config: Some(CONFIG_DEFAULT.into()), data: None }
        } else {
            Target { config: None, data: Some(DATA_DEFAULT.into()) }
        }
    }

    /// What to run without a configuration: only a data directory.
    pub fn resolve_data(&self) -> PathBuf {
        let environment = || Target::of_environment().data;
        self.data.clone().or_else(environment).unwrap_or_else(|| DATA_DEFAULT.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(config: &str, data: &str) -> Target {
        let path = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
        Target { config: path(config), data: path(data) }
    }

    #[test]
    fn arguments_go_before_the_environment_and_that_before_what_lies_around() {
        for (given, environment, exists, chosen) in [
            (target("a.toml", ""), target("b.toml", "b"), true, target("a.toml", "")),
            (target("", "a"), target("b.toml", ""), true, target("", "a")),
            (target("a.toml", "a"), target("", ""), true, target("a.toml", "a")),
            (target("", ""), target("", "b"), true, target("", "b")),
            (target("", ""), target("", ""), true, target("keystile.toml", "")),
            (target("", ""), target("", ""), false, target("", "keystile-data")),
        ] {
            let arguments =
                TargetArguments { config: given.config, data: given.data, create: false };
            assert_eq!(arguments.choose(environment, exists), chosen);
        }
    }
}
