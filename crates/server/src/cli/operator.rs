//! Who runs a command, as the system knows them. No variable of the environment counts: whoever runs the command
//! writes those.

use std::fs;

/// The kernel's user id with its name, and whose log-in it was, where that is known and another one (`sudo`).
pub(super) fn who() -> String {
    let user = rustix::process::getuid().as_raw();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    // Set once at log-in (audit framework of Linux, PAM): nobody but root can change it.
    let login = fs::read_to_string("/proc/self/loginuid").ok().and_then(|id| id.trim().parse().ok());
    describe(user, login, &users)
}

/// The log-in id of what no log-in started.
const NO_LOGIN: u32 = u32::MAX;

fn describe(user: u32, login: Option<u32>, users: &str) -> String {
    let named = |id: u32| {
        let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let mut names = fields.filter_map(|fields| match fields.as_slice() {
            [name, _, number, ..] if number.parse() == Ok(id) => Some(*name),
            _ => None,
        });
        names.next().map_or_else(|| format!("uid {id}"), |name| format!("{name} (uid {id})"))
    };
    match login.filter(|login| *login != user && *login != NO_LOGIN) {
        Some(login) => format!("{}, logged in as {}", named(user), named(login)),
        None => named(user),
    }
}

#[cfg(test)]
mod tests {
    use super::describe;

    #[test]
    fn ids_have_their_names_where_the_system_lists_them() {
        let users = "root:x:0:0:root:/root:/bin/sh\njan:x:1000:1000::/home/jan:/bin/sh\n";
        assert_eq!(describe(1000, None, users), "jan (uid 1000)");
        assert_eq!(describe(0, Some(1000), users), "root (uid 0), logged in as jan (uid 1000)");
        assert_eq!(describe(0, Some(u32::MAX), users), "root (uid 0)");
        assert_eq!(describe(1001, Some(1001), users), "uid 1001");
    }
}
