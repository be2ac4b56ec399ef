//! Which deployment, and the key for it: from `FARHAND_URL` and `FARHAND_KEY`, or from the file that `farhand login` writes for its user alone.

use crate::Error;
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use url::Url;

/// A deployment and the key for it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// Its origin, without a slash at the end.
    pub(crate) url: String,
    /// `fhk_…`
    pub(crate) key: String,
}

impl Settings {
    /// Checks an address and a key that somebody gave.
    pub(crate) fn new(url: &str, key: &str) -> Result<Self, Error> {
        let wrong = || {
            Error::Local(format!(
                "{url:?} is not the address of a deployment; give one such as https://farhand.example.com"
            ))
        };
        let parsed = Url::parse(url.trim()).map_err(|_| wrong())?;
        let is_loopback = matches!(parsed.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        match parsed.scheme() {
            "https" => {}
            "http" if is_loopback => {}
            "http" => {
                return Err(Error::Local(format!(
                    "{url} would send the key unencrypted; give the https address"
                )));
            }
            _ => return Err(wrong()),
        }
        let key = key.trim();
        if !key.starts_with("fhk_") || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::SignIn(format!(
                "this is no API key; make one at {}/settings, it begins with fhk_",
                parsed.origin().ascii_serialization()
            )));
        }
        Ok(Self { url: parsed.origin().ascii_serialization(), key: key.to_owned() })
    }

    /// What the environment says, else the file.
    pub(crate) fn read() -> Result<Self, Error> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let (url, key) = (variable("FARHAND_URL"), variable("FARHAND_KEY"));
        if let (Some(url), Some(key)) = (&url, &key) {
            return Self::new(url, key);
        }
        let path = path()?;
        let kept = match std::fs::read(&path) {
            Ok(bytes) => Some(serde_json::from_slice::<Self>(&bytes).map_err(|error| {
                Error::Local(format!(
                    "{} is not what `farhand login` writes ({error}): log in again",
                    path.display()
                ))
            })?),
            Err(_) => None,
        };
        match (kept, url, key) {
            (Some(kept), Some(url), None) if Self::new(&url, &kept.key)?.url != kept.url => {
                Err(Error::SignIn(format!("no key for {url} is known; set FARHAND_KEY, too")))
            }
            (Some(kept), _, None) => Self::new(&kept.url, &kept.key),
            (Some(kept), None, Some(key)) => Self::new(&kept.url, &key),
            (_, Some(url), _) => Err(Error::SignIn(format!("no key for {url} is known"))),
            (None, None, _) => Err(Error::SignIn("no deployment is known".to_owned())),
        }
    }

    /// Keeps them in the user's configuration folder, readable by that user only.
    pub(crate) fn save(&self) -> Result<PathBuf, Error> {
        let path = path()?;
        self.save_at(&path).map_err(|error| {
            Error::Local(format!(
                "{} cannot be written: {error}; set FARHAND_URL and FARHAND_KEY otherwise",
                path.display()
            ))
        })?;
        Ok(path)
    }

    /// A new file takes the place of the old one, so that no other mode of that counts.
    fn save_at(&self, path: &Path) -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let next = folder.join(format!(".farhand.{}", std::process::id()));
        let _ = std::fs::remove_file(&next);
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next)?;
        file.write_all(serde_json::to_string_pretty(self)?.as_bytes())?;
        file.write_all(b"\n")?;
        std::fs::rename(&next, path)
    }
}

/// `$XDG_CONFIG_HOME/farhand/login.json`, by default below `~/.config`
/// (<https://specifications.freedesktop.org/basedir-spec/latest/>).
fn path() -> Result<PathBuf, Error> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let configuration = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")));
    let configuration = configuration
        .ok_or_else(|| Error::Local("HOME is not set; set FARHAND_URL and FARHAND_KEY".to_owned()))?;
    Ok(configuration.join("farhand/login.json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn an_address_is_an_origin_and_a_key_travels_encrypted() {
        let url = |url| {
            Settings::new(url, "fhk_x_y").map(|settings| settings.url).map_err(|error| error.to_string())
        };
        assert_eq!(
            url("https://Farhand.example.com/sessions?x=1"),
            Ok("https://farhand.example.com".to_owned())
        );
        assert_eq!(url(" http://127.0.0.1:8787/ "), Ok("http://127.0.0.1:8787".to_owned()));
        for (wrong, why) in [
            ("http://farhand.example.com", "unencrypted"),
            ("farhand.example.com", "not the address"),
            ("ftp://farhand.example.com", "not the address"),
        ] {
            assert!(url(wrong).is_err_and(|error| error.contains(why)), "{wrong}");
        }
        assert!(Settings::new("https://farhand.example.com", "ghp_x").is_err());
    }

    #[test]
    fn the_file_is_its_users_alone_also_where_it_was_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("farhand/login.json");
        let settings = Settings::new("https://farhand.example.com", "fhk_x_y").unwrap();
        settings.save_at(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        settings.save_at(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let kept: Settings = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!((kept.url, kept.key), (settings.url, settings.key));
    }
}
