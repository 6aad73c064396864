//! Layers that use the tensors of another one: how synthetic checkpoints have the depth of a real model and not its size.

use serde_json::Value;

use super::Mixer;
use super::fields::{Fields, describe};
use crate::error::ModelError;

/// Records of a model whose layers share tensors. Without sharing the files bound their number;
/// with it a short file could ask for a list that no memory holds.
const SHARED_RECORDS: usize = 1 << 20;

/// For each layer the one whose tensors it uses; without `flash_moe.layer_alias` its own. Each
/// layer has so many `experts`.
pub(super) fn read(
    root: &Fields<'_>,
    mixers: &[Mixer],
    experts: usize,
) -> Result<Vec<usize>, ModelError> {
    let own = || (0..mixers.len()).collect();
    let Some(fields) = root.object("flash_moe", "flash_moe.")? else { return Ok(own()) };
    let Some(found) = fields.get("layer_alias") else { return Ok(own()) };
    let listed = found.as_array().filter(|listed| listed.len() == mixers.len());
    let accepted = || format!("a list of {} layers, one for each layer", mixers.len());
    let listed = listed.ok_or_else(|| fields.refuse("layer_alias", accepted()))?;
    if mixers.len() * experts > SHARED_RECORDS {
        let found = format!("one for {} layers of {experts} experts", mixers.len());
        let accepted = format!("at most {SHARED_RECORDS} experts in all layers together");
        return Err(fields.refuse_found("layer_alias", found, accepted));
    }
    let target = |value: &Value| usize::try_from(value.as_u64()?).ok();
    let alias = |(layer, found): (usize, &Value)| {
        let alias = target(found).filter(|alias| {
            let same = mixers.get(*alias).is_some_and(|mixer| *mixer == mixers[layer]);
            same && listed.get(*alias).and_then(target) == Some(*alias)
        });
        alias.ok_or_else(|| {
            let field = format!("layer_alias[{layer}]");
            let name = mixers[layer].name();
            let accepted = format!(
                "a layer below {} of {name} that has tensors of its own, and so names itself",
                mixers.len()
            );
            fields.refuse_found(&field, describe(Some(found)), accepted)
        })
    };
    listed.iter().enumerate().map(alias).collect()
}
