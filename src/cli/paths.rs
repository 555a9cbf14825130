//! Where files are when the command line does not say.
//!
//! Debian builds its nutcracker with paths of its own, and scripts that start it there name none.
//! The package's build (feature `debian-paths`) has the same ones, but only under the name
//! `nutcracker`: whoever types `nutcrab` gets the defaults that the documentation gives.

use super::Name;

/// Files that are used unasked.
#[derive(Debug, PartialEq, Eq)]
pub struct Paths {
    /// `-c`
    pub conf_file: &'static str,
    /// `-o`. `None`: stderr.
    pub output: Option<&'static str>,
    /// `-p`, and only with `-d`. `None`: no file.
    pub pid_file: Option<&'static str>,
}

impl Paths {
    /// twemproxy's own.
    pub const PLAIN: Self = Self {
        conf_file: "conf/nutcracker.yml",
        output: None,
        pid_file: None,
    };

    /// Those of Debian's package nutcracker.
    pub const DEBIAN: Self = Self {
        conf_file: "/etc/nutcracker/nutcracker.yml",
        output: Some("/var/log/nutcracker/nutcracker.log"),
        pid_file: Some("/run/nutcracker/nutcracker.pid"),
    };

    /// Those of this build, started under this name.
    pub const fn of(name: Name) -> &'static Self {
        match name {
            Name::Nutcracker if cfg!(feature = "debian-paths") => &Self::DEBIAN,
            Name::Nutcracker | Name::Nutcrab => &Self::PLAIN,
        }
    }
}
