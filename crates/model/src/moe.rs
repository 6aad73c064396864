//! The experts of a layer: the router chooses, all chosen records are announced, and resident work overlaps their reads.

use engine::{Control, ForwardError};
use kernels::{Cpu, Kernels, Product};
use store::{Cache, Hold, Stay};

use crate::config::Config;
use crate::error::ModelError;
use crate::hooks::Hooks;
use crate::layers::Experts;
use crate::record::ExpertMatrices;
use crate::resident::Resident;
use crate::scratch::MoeScratch;
use crate::state::CUT_MAX;

/// What stays the same over the layers of a pass.
pub(crate) struct Moe<'a> {
    pub(crate) cpu: &'a Cpu,
    pub(crate) config: &'a Config,
    pub(crate) weights: &'a Resident,
    pub(crate) cache: &'a Cache,
    pub(crate) layer: &'a Experts,
    /// Which layer, and so which bank.
    pub(crate) index: usize,
    /// Where each row stands in its sequence.
    pub(crate) positions: &'a [usize],
    /// Whether no further pass follows in this call.
    pub(crate) is_last: bool,
    pub(crate) control: &'a Control<'a>,
}

/// One row's wish for one expert.
struct Wish {
    expert: usize,
    row: usize,
    /// Which of the row's choices it is.
    choice: usize,
}

/// Why the buffers of a pass can be divided.
const ROOM: &str = "a batch is never larger than the buffers";

/// The wishes for what is held.
fn mine<'w>(wishes: &'w [Wish], hold: &Hold) -> &'w [Wish] {
    let begin = wishes.partition_point(|wish| wish.expert < hold.record());
    let mine = &wishes[begin..];
    &mine[..mine.partition_point(|wish| wish.expert == hold.record())]
}

impl Moe<'_> {
    /// What the experts add to `rows` normed rows.
    pub(crate) fn run(
        &self,
        rows: usize,
        normed: &[f32],
        s: &mut MoeScratch,
        out: &mut [f32],
        hooks: &mut Hooks,
    ) -> Result<(), ForwardError> {
        self.route(rows, normed, s, hooks)?;
        let wishes = self.wishes(rows, &s.experts);
        let mut records: Vec<usize> = wishes.iter().map(|wish| wish.expert).collect();
        records.dedup();
        let mut arrivals = match rows > CUT_MAX {
            false => self.cache.announce(self.index, &records),
            true => {
                let latest = self.latest(&s.experts[..rows * self.config.experts_per_token]);
                let stay = |e: usize| if latest[e] { Stay::Usual } else { Stay::First };
                self.cache.sweep(self.index, &records, stay)
            }
        };
        self.shared(rows, normed, s);
        let (mut carried, mut done) = (None, 0);
        while let Some(first) = carried.take().or_else(|| arrivals.next()) {
            let mut holds = vec![first.map_err(ModelError::from)?];
            let mut room =
                s.gathered.len() / self.config.hidden_size - mine(&wishes, &holds[0]).len();
            // What is there already goes along, so that threads are called together once for all
            // of it. Nothing is waited for while slots are held.
            while holds.len() < self.config.experts_per_token {
                let Some(next) = arrivals.try_next() else { break };
                let next = next.map_err(ModelError::from)?;
                let more = mine(&wishes, &next).len();
                if more > room {
                    carried = Some(Ok(next));
                    break;
                }
                room -= more;
                holds.push(next);
            }
            done += self.together(&holds, rows, &wishes, normed, done, s);
            drop(holds);
            self.control.check()?;
        }
        self.sum(rows, s, out);
        Ok(())
    }

    /// Of the experts that many rows chose, those of the call's last rows: they are the likeliest
    /// to be chosen again, and get half of this layer's share of the slots. The others pass through.
    fn latest(&self, chosen: &[u32]) -> Vec<bool> {
        let share = self.cache.slots() / self.config.layers() / 2;
        let quota = if self.is_last { share } else { 0 };
        let mut latest = vec![false; self.config.experts];
        let mut count = 0;
        for &expert in chosen.iter().rev() {
            if count == quota {
                break;
            }
            let first = !std::mem::replace(&mut latest[expert as usize], true);
            count += usize::from(first);
        }
        latest
    }

    /// Every wish, by expert and then by row.
    fn wishes(&self, rows: usize, chosen: &[u32]) -> Vec<Wish> {
        let width = self.config.experts_per_token;
        let wish = |(n, &expert): (usize, &u32)| Wish {
            expert: expert as usize,
            row: n / width,
            choice: n % width,
        };
        let mut wishes: Vec<Wish> = chosen[..rows * width].iter().enumerate().map(wish).collect();
        wishes.sort_unstable_by_key(|wish| (wish.expert, wish.row));
        wishes
    }

    /// The expert that every row has, weighed by its own gate.
    fn shared(&self, rows: usize, normed: &[f32], s: &mut MoeScratch) {
        let (hidden, inner) = (self.config.hidden_size, self.config.shared_intermediate_size);
        let (w, layer) = (self.weights, self.layer);
        let (gate, up) = (&mut s.gate[..rows * inner], &mut s.up[..rows * inner]);
        self.cpu.matmul_each(&mut [
            Product { matrix: w.matrix(&layer.shared_gate_proj), x: normed, out: gate },
            Product { matrix: w.matrix(&layer.shared_up_proj), x: normed, out: up },
            Product {
                matrix: w.matrix(&layer.shared_gate),
                x: normed,
                out: &mut s.shared_gate[..rows],
            },
        ]);
        self.multiply_gated(inner, gate, up);
        let out = &mut s.shared[..rows * hidden];
        self.cpu.matmul(&w.matrix(&layer.shared_down_proj), gate, out);
    }

    /// Several experts, each for all rows that chose it, when `done` wishes have been fulfilled
    /// before; gives how many these are.
    fn together(
        &self,
        holds: &[Hold],
        rows: usize,
        wishes: &[Wish],
        normed: &[f32],
        done: usize,
        s: &mut MoeScratch,
    ) -> usize {
        let Config { hidden_size: hidden, moe_intermediate_size: inner, .. } = *self.config;
        let wishes: Vec<&[Wish]> = holds.iter().map(|hold| mine(wishes, hold)).collect();
        let all = wishes.iter().flat_map(|wishes| wishes.iter());
        let mut count = 0;
        for wish in all.clone() {
            s.places[wish.row * self.config.experts_per_token + wish.choice] =
                (done + count) as u32;
            count += 1;
        }
        if rows > 1 {
            let gathered = s.gathered.chunks_exact_mut(hidden);
            let mut gathered: Vec<(&Wish, &mut [f32])> = all.zip(gathered).collect();
            self.cpu.each_of(hidden, &mut gathered, |_, (wish, row)| {
                row.copy_from_slice(&normed[wish.row * hidden..][..hidden]);
            });
        }
        let matrices: Vec<ExpertMatrices<'_>> =
            holds.iter().map(|hold| self.layer.record.matrices(hold)).collect();
        let mut rows_of_all = &s.gathered[..];
        let (mut gates, mut ups) = (&mut s.gate[..], &mut s.up[..]);
        let mut products = Vec::with_capacity(2 * holds.len());
        for (matrices, wishes) in matrices.iter().zip(&wishes) {
            let own = rows_of_all.split_off(..wishes.len() * hidden).expect(ROOM);
            // A single row is the same for all, and quantised once.
            let x = if rows > 1 { own } else { normed };
            let [gate, up] = [&mut gates, &mut ups]
                .map(|all| all.split_off_mut(..wishes.len() * inner).expect(ROOM));
            products.push(Product { matrix: matrices.gate, x, out: gate });
            products.push(Product { matrix: matrices.up, x, out: up });
        }
        self.cpu.matmul_each(&mut products);
        self.multiply_gated(inner, &mut s.gate[..count * inner], &s.up[..count * inner]);
        let (mut gates, mut outs) = (&s.gate[..], &mut s.all[done * hidden..]);
        let mut products = Vec::with_capacity(holds.len());
        for (matrices, wishes) in matrices.iter().zip(&wishes) {
            let x = gates.split_off(..wishes.len() * inner).expect(ROOM);
            let out = outs.split_off_mut(..wishes.len() * hidden).expect(ROOM);
            products.push(Product { matrix: matrices.down, x, out });
        }
        self.cpu.matmul_each(&mut products);
        count
    }

    fn multiply_gated(&self, inner: usize, gate: &mut [f32], up: &[f32]) {
        let k = self.cpu.kernels();
        let mut rows: Vec<(&mut [f32], &[f32])> =
            gate.chunks_exact_mut(inner).zip(up.chunks_exact(inner)).collect();
        // Sixteen at a time, an exponential is worth a few multiplications.
        self.cpu.each_of(4 * inner, &mut rows, |_, (gate, up)| k.silu_mul(gate, up));
    }

    /// In ascending order of the experts, whatever order they arrived in; the shared one last.
    fn sum(&self, rows: usize, s: &MoeScratch, out: &mut [f32]) {
        let (hidden, chosen) = (self.config.hidden_size, self.config.experts_per_token);
        let k: &Kernels = self.cpu.kernels();
        let mut outs: Vec<&mut [f32]> = out.chunks_exact_mut(hidden).take(rows).collect();
        self.cpu.each(&mut outs, |row, out| {
            let ids = &s.experts[row * chosen..][..chosen];
            let mut order: Vec<usize> = (0..chosen).collect();
            order.sort_unstable_by_key(|&choice| ids[choice]);
            out.fill(0.0);
            for choice in order {
                let wish = row * chosen + choice;
                let place = s.places[wish] as usize;
                k.add_scaled(out, s.weights[wish], &s.all[place * hidden..][..hidden]);
            }
            let weight = kernels::sigmoid(s.shared_gate[row]);
            k.add_scaled(out, weight, &s.shared[row * hidden..][..hidden]);
        });
    }
}
