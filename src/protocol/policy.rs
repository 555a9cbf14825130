//! Which commands a pool serves: what its configuration allows and denies.

/// The `commands` of a pool, and what else decides whether a command is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Whether the pool has more than one server. Then dangerous commands must be allowed, and those
    /// without one answer for several servers are refused.
    pub several: bool,
    /// Names in upper case, sub-commands as `CONFIG|SET`: served although they are guarded or dangerous.
    pub allow: Vec<String>,
    /// Names in upper case: refused whatever else holds.
    pub deny: Vec<String>,
    /// What becomes of commands we do not know.
    pub unknown: Unknown,
}

/// What becomes of commands we do not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unknown {
    /// The servers are asked where their keys stand.
    #[default]
    Learn,
    /// They are refused.
    Refuse,
}

/// Why a command is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The pool's configuration denies it.
    Denied,
    /// It is dangerous, and the pool does not allow it.
    Dangerous,
    /// It is guarded, and the pool does not allow it.
    Guarded,
    /// Each server has its own answer, and nobody knows which is meant.
    Several,
}

impl Policy {
    /// Whether the configuration allows the command of this name, in upper case.
    pub fn allows(&self, name: &str) -> bool {
        names(&self.allow, name)
    }

    /// Whether the configuration denies it.
    pub fn denies(&self, name: &str) -> bool {
        names(&self.deny, name)
    }
}

/// Whether `list` has the command, or the one it is a sub-command of.
fn names(list: &[String], name: &str) -> bool {
    let container = name.split('|').next().unwrap_or(name);
    list.iter()
        .any(|listed| listed == name || listed == container)
}

impl Denial {
    /// Why, behind the name of the command in the error.
    pub fn text(self) -> &'static str {
        match self {
            Denial::Denied => "is denied by the configuration of this pool",
            Denial::Dangerous => {
                "is refused in a pool of several servers unless its configuration allows it"
            }
            Denial::Guarded => "is a guarded command: 'commands: allow' of this pool opens it",
            Denial::Several => "has no one answer in a pool of several servers",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_stands_for_all_its_sub_commands() {
        let policy = Policy {
            allow: vec!["CONFIG".into(), "DEBUG|OBJECT".into()],
            ..Policy::default()
        };
        for (name, allowed) in [
            ("CONFIG|SET", true),
            ("DEBUG|OBJECT", true),
            ("DEBUG|SLEEP", false),
            ("CONFI", false),
            ("CONFIGURE", false),
        ] {
            assert_eq!(policy.allows(name), allowed, "{name}");
        }
    }
}
