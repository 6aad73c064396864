//! The memory plan: where every byte goes, decided before any work, refused below its floor.

use std::fmt;

#[cfg(test)]
mod tests;

/// The context when none is wished and model and memory would give more.
const DEFAULT_CONTEXT: usize = 32_768;

/// A context that nobody wished may cost this part of what lies between floor and budget: the rest
/// is for slots, without which every record is read again and again.
const CONTEXT_SHARE: u64 = 2;

/// A chunk that nobody wished may cost this part of what lies between floor and budget.
const CHUNK_SHARE: u64 = 4;

/// What a model needs, in bytes unless it says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    pub trunk_bytes: u64,
    /// State of a sequence that does not grow with its length.
    pub state_bytes: u64,
    pub kv_bytes_per_position: u64,
    /// The process itself: code, tables, lists of names.
    pub fixed_bytes: u64,
    /// Chunk sizes that are offered, in positions, with what each costs; both ascend.
    pub scratch: Vec<(usize, u64)>,
    pub io_bytes: u64,
    /// One slot, with the slack of rounded reads.
    pub slot_bytes: u64,
    /// How many records of one bank a step needs at once.
    pub records_per_step: usize,
    pub banks: usize,
    pub records_per_bank: usize,
    pub record_bytes: u64,
    pub checkpoint_bytes: u64,
    /// How many checkpoints are kept.
    pub checkpoints: usize,
    /// The most positions that the model knows.
    pub context_max: usize,
}

/// What the user asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// The ceiling for the whole process.
    pub budget_bytes: u64,
    /// Positions; `None`: the least of the model's maximum, what half of the budget above the floor
    /// gives, and 32,768.
    pub ctx: Option<usize>,
    /// Positions; `None`: the largest that costs at most a quarter of what the floor leaves.
    pub chunk: Option<usize>,
}

/// Where every byte goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The least that runs with this context: the smallest chunk, the slots of one step.
    pub floor_bytes: u64,
    /// The records that the steps of all banks need: with fewer, least-recently-used never hits.
    pub cycle_bytes: u64,
    pub trunk_bytes: u64,
    /// With the checkpoints.
    pub state_bytes: u64,
    pub kv_bytes: u64,
    pub scratch_bytes: u64,
    pub io_bytes: u64,
    pub process_bytes: u64,
    /// One slot.
    pub slot_bytes: u64,
    pub slot_count: usize,
    pub record_bytes: u64,
    /// All of it; at most the budget.
    pub plan_bytes: u64,
    pub budget_bytes: u64,
    /// Positions.
    pub ctx: usize,
    /// Positions.
    pub chunk: usize,
    pub warnings: Vec<Warning>,
}

/// What a plan could not give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning {
    /// Fewer records fit than all banks need for one step each.
    BelowCycle {
        /// This plan with slots for them. A plan made for that much may also take a larger chunk
        /// or context, and then be short again.
        needed_bytes: u64,
    },
    /// The wished chunk is more than is offered or than fits.
    ChunkReduced { wished: usize, given: usize },
    /// Nobody wished a context, and the budget gives less than the usual one.
    ContextReduced { usual: usize, given: usize },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::BelowCycle { needed_bytes } => write!(
                f,
                "the slots hold less than one cycle, so records leave before they are needed again; \
                 {needed_bytes} bytes of memory would hold it"
            ),
            Warning::ChunkReduced { wished, given } => {
                write!(f, "a chunk of {wished} positions is not to be had, {given} is")
            }
            Warning::ContextReduced { usual, given } => {
                write!(f, "the memory gives {given} positions of context, {usual} are usual")
            }
        }
    }
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the memory budget is {budget_bytes} bytes, at least {floor_bytes} are needed: {}", sum(.parts))]
    Memory {
        budget_bytes: u64,
        /// The budget to give.
        floor_bytes: u64,
        /// What adds up to the floor.
        parts: Vec<(&'static str, u64)>,
        /// The positions that it is for.
        ctx: usize,
    },

    #[error("a context of {wished} positions, accepted are 1 to {accepted}")]
    Context { wished: usize, accepted: usize },

    #[error("a chunk of 0 positions, accepted are 1 or more")]
    Chunk,
}

fn sum(parts: &[(&str, u64)]) -> String {
    let parts: Vec<String> = parts.iter().map(|(name, bytes)| format!("{name} {bytes}")).collect();
    parts.join(" + ")
}

impl Plan {
    /// Gives out the budget: first the floor, then a larger chunk, then slots up to a slot for
    /// every record. What a model computes does not depend on any of it.
    ///
    /// # Errors
    /// When the budget is below the floor, or a wish is out of range.
    pub fn make(needs: &Needs, wish: &Wish) -> Result<Plan, Refusal> {
        let budget_bytes = wish.budget_bytes;
        if wish.chunk == Some(0) {
            return Err(Refusal::Chunk);
        }
        let mut warnings = Vec::new();
        let ctx = context(needs, wish, &mut warnings)?;
        let floor = needs.floor(ctx);
        let floor_bytes = floor.bytes();
        let spare = budget_bytes - floor_bytes;
        let chunk = needs.chunk(wish.chunk, spare, &mut warnings);
        let scratch_bytes = needs.scratch_bytes(chunk);

        let spare = spare - (scratch_bytes - floor.scratch_bytes);
        let least = needs.slots_per_step();
        let more = (needs.slots_at_most() - least) as u64;
        let fitting = spare.checked_div(needs.slot_bytes).map_or(more, |slots| slots.min(more));
        let parts = Parts { scratch_bytes, slots: least + fitting as usize, ..floor };
        let mut plan = Plan {
            floor_bytes,
            cycle_bytes: needs.cycle_bytes(),
            trunk_bytes: parts.trunk_bytes,
            state_bytes: parts.state_bytes,
            kv_bytes: parts.kv_bytes,
            scratch_bytes,
            io_bytes: parts.io_bytes,
            process_bytes: parts.process_bytes,
            slot_bytes: needs.slot_bytes,
            slot_count: parts.slots,
            record_bytes: needs.record_bytes,
            plan_bytes: parts.bytes(),
            budget_bytes,
            ctx,
            chunk,
            warnings,
        };
        if plan.below_cycle() {
            let needed_bytes = Parts { slots: needs.cycle_slots(), ..parts }.bytes();
            plan.warnings.push(Warning::BelowCycle { needed_bytes });
        }
        Ok(plan)
    }

    /// Whether fewer records fit than all banks need for one step each.
    pub fn below_cycle(&self) -> bool {
        mul(self.slot_count, self.record_bytes) < self.cycle_bytes
    }
}

/// The wished context, or the usual one as far as the budget goes. The floor with it fits.
fn context(needs: &Needs, wish: &Wish, warnings: &mut Vec<Warning>) -> Result<usize, Refusal> {
    let accepted = needs.context_max.max(1);
    if let Some(wished) = wish.ctx {
        if wished == 0 || wished > accepted {
            return Err(Refusal::Context { wished, accepted });
        }
        needs.spare(wish.budget_bytes, wished)?;
        return Ok(wished);
    }
    let mut spare = needs.spare(wish.budget_bytes, 1)?;
    // A chunk that was asked for comes before a context that was not.
    let chunk_bytes = wish.chunk.map_or(0, |wished| needs.scratch_above_least(wished));
    spare -= if chunk_bytes <= spare { chunk_bytes } else { 0 };
    let usual = accepted.min(DEFAULT_CONTEXT);
    let more = (usual - 1) as u64;
    let share = spare / CONTEXT_SHARE;
    let fitting = share.checked_div(needs.kv_bytes_per_position).map_or(more, |n| n.min(more));
    let given = 1 + fitting as usize;
    if given < usual {
        warnings.push(Warning::ContextReduced { usual, given });
    }
    Ok(given)
}

/// What adds up to a plan.
#[derive(Clone, Copy, Debug)]
struct Parts {
    trunk_bytes: u64,
    state_bytes: u64,
    kv_bytes: u64,
    scratch_bytes: u64,
    io_bytes: u64,
    process_bytes: u64,
    slots: usize,
    slot_bytes: u64,
}

impl Parts {
    fn named(&self) -> [(&'static str, u64); 7] {
        [
            ("trunk", self.trunk_bytes),
            ("state", self.state_bytes),
            ("kv", self.kv_bytes),
            ("scratch", self.scratch_bytes),
            ("io", self.io_bytes),
            ("process", self.process_bytes),
            ("slots", mul(self.slots, self.slot_bytes)),
        ]
    }

    fn bytes(&self) -> u64 {
        // Needs come from files of strangers; what overflows is more than any budget.
        self.named().iter().fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
    }
}

impl Needs {
    fn floor(&self, ctx: usize) -> Parts {
        Parts {
            trunk_bytes: self.trunk_bytes,
            state_bytes: self
                .state_bytes
                .saturating_add(mul(self.checkpoints, self.checkpoint_bytes)),
            kv_bytes: mul(ctx, self.kv_bytes_per_position),
            scratch_bytes: self.scratch.first().map_or(0, |&(_, bytes)| bytes),
            io_bytes: self.io_bytes,
            process_bytes: self.fixed_bytes,
            slots: self.slots_per_step(),
            slot_bytes: self.slot_bytes,
        }
    }

    /// What the budget leaves above the floor.
    fn spare(&self, budget_bytes: u64, ctx: usize) -> Result<u64, Refusal> {
        let floor = self.floor(ctx);
        let floor_bytes = floor.bytes();
        budget_bytes.checked_sub(floor_bytes).ok_or_else(|| {
            let parts = floor.named().into_iter().filter(|(_, bytes)| *bytes > 0).collect();
            Refusal::Memory { budget_bytes, floor_bytes, parts, ctx }
        })
    }

    /// What a chunk costs: as much as the smallest offered one that holds it.
    fn scratch_bytes(&self, chunk: usize) -> u64 {
        let holding = self.scratch.iter().find(|(offered, _)| *offered >= chunk);
        holding.or(self.scratch.last()).map_or(0, |&(_, bytes)| bytes)
    }

    fn scratch_above_least(&self, chunk: usize) -> u64 {
        self.scratch_bytes(chunk).saturating_sub(self.scratch.first().map_or(0, |first| first.1))
    }

    fn chunk(&self, wished: Option<usize>, spare: u64, warnings: &mut Vec<Warning>) -> usize {
        let largest = self.scratch.last().map_or(1, |last| last.0);
        if let Some(wished) = wished
            && wished <= largest
            && self.scratch_above_least(wished) <= spare
        {
            return wished;
        }
        let (at_most, share) = match wished {
            Some(wished) => (wished, spare),
            None => (usize::MAX, spare / CHUNK_SHARE),
        };
        let fits = |&&(chunk, _): &&(usize, u64)| {
            chunk <= at_most && self.scratch_above_least(chunk) <= share
        };
        let least = self.scratch.first();
        let given = self.scratch.iter().rev().find(fits).or(least).map_or(1, |&(chunk, _)| chunk);
        if let Some(wished) = wished {
            warnings.push(Warning::ChunkReduced { wished, given });
        }
        given
    }

    /// The slots of one step of one bank.
    fn slots_per_step(&self) -> usize {
        if self.banks == 0 { 0 } else { self.records_per_step.min(self.records_per_bank) }
    }

    fn slots_at_most(&self) -> usize {
        self.banks.saturating_mul(self.records_per_bank)
    }

    fn cycle_slots(&self) -> usize {
        self.banks.saturating_mul(self.slots_per_step())
    }

    fn cycle_bytes(&self) -> u64 {
        mul(self.cycle_slots(), self.record_bytes)
    }
}

fn mul(count: usize, bytes: u64) -> u64 {
    bytes.saturating_mul(count as u64)
}
