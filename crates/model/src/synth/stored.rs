//! Which layers lie on the disk, and whose tensors the others use.

use super::SynthError;
use crate::config::Mixer;

/// For each layer the one whose tensors it uses. With `distinct` the first so many layers have
/// tensors of their own, except that each kind has one layer at least; the others take turns with
/// those of their kind.
pub(super) fn alias(mixers: &[Mixer], distinct: Option<usize>) -> Result<Vec<usize>, SynthError> {
    let Some(distinct) = distinct else { return Ok((0..mixers.len()).collect()) };
    let first = |kind: Mixer| mixers.iter().position(|mixer| *mixer == kind);
    let kinds: Vec<usize> = [Mixer::Linear, Mixer::Full].into_iter().filter_map(first).collect();
    if distinct < kinds.len() || distinct > mixers.len() {
        let accepted = format!("{} to {}", kinds.len(), mixers.len());
        return Err(SynthError::Order { field: "distinct layers", found: distinct, accepted });
    }
    let mut stored: Vec<usize> = (0..distinct).collect();
    for kind in kinds {
        if !stored.contains(&kind) {
            stored.pop();
            stored.push(kind);
        }
    }
    let mut turns = [0, 0];
    let alias = |mixer: &Mixer| {
        let of_kind: Vec<usize> =
            stored.iter().copied().filter(|layer| mixers[*layer] == *mixer).collect();
        let turn = &mut turns[usize::from(*mixer == Mixer::Full)];
        *turn += 1;
        of_kind[(*turn - 1) % of_kind.len()]
    };
    Ok(mixers.iter().map(alias).collect())
}

/// The layers that have tensors of their own.
pub(super) fn distinct(alias: &[usize]) -> Vec<usize> {
    (0..alias.len()).filter(|layer| alias[*layer] == *layer).collect()
}

#[cfg(test)]
mod tests {
    use super::Mixer::{Full, Linear};
    use super::*;

    fn every_fourth(layers: usize) -> Vec<Mixer> {
        (1..=layers).map(|n| if n % 4 == 0 { Full } else { Linear }).collect()
    }

    fn aliases(mixers: &[Mixer], distinct: usize) -> Vec<usize> {
        alias(mixers, Some(distinct)).expect("it can be had")
    }

    #[test]
    fn layers_take_turns_with_those_of_their_kind() {
        let eight = every_fourth(8);
        assert_eq!(aliases(&eight, 2), [0, 0, 0, 3, 0, 0, 0, 3], "one of each kind");
        assert_eq!(aliases(&eight, 3), [0, 1, 0, 3, 1, 0, 1, 3], "two linear ones");
        assert_eq!(aliases(&eight, 4), [0, 1, 2, 3, 0, 1, 2, 3], "one round");
        assert_eq!(aliases(&eight, 6), [0, 1, 2, 3, 4, 5, 0, 3], "one round and a half");
        assert_eq!(aliases(&eight, 8), [0, 1, 2, 3, 4, 5, 6, 7], "all");
        assert_eq!(alias(&eight, None).expect("all"), aliases(&eight, 8), "all, unsaid");
        assert_eq!(aliases(&[Full, Linear, Linear], 2), [0, 1, 1], "full attention first");
        assert_eq!(aliases(&[Full, Full, Linear], 2), [0, 0, 2], "linear last");
        assert_eq!(aliases(&[Linear; 3], 1), [0, 0, 0], "one kind alone");
    }

    #[test]
    fn a_stored_layer_stands_for_itself_and_only_for_its_kind() {
        for layers in 1..=13 {
            let mixers = every_fourth(layers);
            for wanted in 1..=layers {
                let Ok(alias) = alias(&mixers, Some(wanted)) else { continue };
                assert_eq!(distinct(&alias).len(), wanted, "{wanted} of {layers}");
                for (layer, target) in alias.iter().enumerate() {
                    assert_eq!(alias[*target], *target, "{wanted} of {layers}: {layer}");
                    assert_eq!(mixers[*target], mixers[layer], "{wanted} of {layers}: {layer}");
                }
            }
        }
    }

    #[test]
    fn too_few_and_too_many_are_refused() {
        for distinct in [0, 1, 9] {
            let line = alias(&every_fourth(8), Some(distinct)).expect_err("refused").to_string();
            assert!(line.ends_with(&format!("found {distinct}, accepted: 2 to 8")), "{line}");
        }
        assert!(alias(&[Linear; 3], Some(0)).is_err(), "none at all");
    }
}
