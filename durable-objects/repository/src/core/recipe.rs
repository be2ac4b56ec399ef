//! What settings may say. Whether the operator allows hosts and secrets is the bridge's to judge, when it builds.

use super::limit::{LINE_BYTES_MAX, POOL_TARGET_MAX};
use protocol::limit::RECIPE_COMMANDS_MAX;
use protocol::repository::Recipe;

/// One command of a recipe.
const COMMAND_BYTES_MAX: usize = 4096;

/// Whether a recipe can be carried out at all; otherwise what is wrong with it and what to do.
pub(super) fn evaluate_recipe(recipe: &Recipe) -> Result<(), String> {
    let lists = [
        ("setup", &recipe.setup, COMMAND_BYTES_MAX),
        ("build", &recipe.build, COMMAND_BYTES_MAX),
        ("warm", &recipe.warm, COMMAND_BYTES_MAX),
        ("tools", &recipe.tools, LINE_BYTES_MAX),
        ("secrets", &recipe.secrets, LINE_BYTES_MAX),
        ("allowedHosts", &recipe.allowed_hosts, LINE_BYTES_MAX),
    ];
    for (name, list, bytes_max) in lists {
        let list = list.as_deref().unwrap_or_default();
        if list.len() > RECIPE_COMMANDS_MAX {
            return Err(format!(
                "`{name}` has {} entries; at most {RECIPE_COMMANDS_MAX} are taken",
                list.len()
            ));
        }
        check_texts(name, list.iter(), bytes_max)?;
    }
    check_texts("start", recipe.start.iter(), COMMAND_BYTES_MAX)?;
    check_texts("baseImage", recipe.base_image.iter(), LINE_BYTES_MAX)?;
    if recipe.pool_target.is_some_and(|target| target > POOL_TARGET_MAX) {
        return Err(format!("`poolTarget` is above {POOL_TARGET_MAX}; ask for fewer warm sandboxes"));
    }
    if let Some(limits) = &recipe.limits
        && [limits.cpu_millicores, limits.memory_mib, limits.disk_mib].contains(&0)
    {
        return Err("`limits` has a zero; leave `limits` out for the usual ones".to_owned());
    }
    Ok(())
}

fn check_texts<'a>(
    name: &str,
    texts: impl Iterator<Item = &'a String>,
    bytes_max: usize,
) -> Result<(), String> {
    for text in texts {
        if text.trim().is_empty() || text.contains('\0') || text.len() > bytes_max {
            return Err(format!(
                "`{name}` has an entry that is empty, or longer than {bytes_max} bytes; change or remove it"
            ));
        }
    }
    Ok(())
}

/// Shortens a text to at most `bytes_max`, at a character's border.
pub(super) fn cut(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
    }
}
