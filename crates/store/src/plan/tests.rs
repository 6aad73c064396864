//! Plans that were added up by hand, and what each wish and each lack leads to.

use super::*;

/// Floor with one position: 1000 + (100 + 2 * 40) + 10 + 20 + 30 + 50 + 2 * 100 = 1490.
/// Fifty positions: 1980. Larger chunks: 40 and 280 more. Cycle: 3 * 2 * 90 = 540, six slots.
fn needs() -> Needs {
    Needs {
        trunk_bytes: 1000,
        state_bytes: 100,
        kv_bytes_per_position: 10,
        fixed_bytes: 50,
        scratch: vec![(1, 20), (8, 60), (64, 300)],
        io_bytes: 30,
        slot_bytes: 100,
        records_per_step: 2,
        banks: 3,
        records_per_bank: 8,
        record_bytes: 90,
        checkpoint_bytes: 40,
        checkpoints: 2,
        context_max: 50,
    }
}

fn wish(budget_bytes: u64) -> Wish {
    Wish { budget_bytes, ctx: None, chunk: None }
}

fn total(plan: &Plan) -> u64 {
    plan.trunk_bytes
        + plan.state_bytes
        + plan.kv_bytes
        + plan.scratch_bytes
        + plan.io_bytes
        + plan.process_bytes
        + plan.slot_bytes * plan.slot_count as u64
}

#[test]
fn every_part_is_where_it_belongs() {
    let plan = Plan::make(&needs(), &wish(3100)).unwrap();
    assert_eq!(
        plan,
        Plan {
            floor_bytes: 1980,
            cycle_bytes: 540,
            trunk_bytes: 1000,
            state_bytes: 180,
            kv_bytes: 500,
            scratch_bytes: 300,
            io_bytes: 30,
            process_bytes: 50,
            slot_bytes: 100,
            slot_count: 10,
            record_bytes: 90,
            plan_bytes: 3060,
            budget_bytes: 3100,
            ctx: 50,
            chunk: 64,
            warnings: Vec::new(),
        }
    );
}

/// Budget; positions, chunk, slots, bytes of the plan; warnings.
type Given = (u64, usize, usize, usize, u64, &'static [Warning]);

#[test]
fn the_budget_is_given_out_in_order() {
    const fn below(needed_bytes: u64) -> Warning {
        Warning::BelowCycle { needed_bytes }
    }
    const fn context(given: usize) -> Warning {
        Warning::ContextReduced { usual: 50, given }
    }
    #[rustfmt::skip]
    let cases: [Given; 11] = [
        (1490, 1, 1, 2, 1490, const { &[context(1), below(1890)] }),
        (1509, 1, 1, 2, 1490, const { &[context(1), below(1890)] }), // half of 19 is no position
        (1510, 2, 1, 2, 1500, const { &[context(2), below(1900)] }),
        (1979, 25, 8, 4, 1970, const { &[context(25), below(2170)] }),
        (2140, 33, 8, 4, 2050, const { &[context(33), below(2250)] }),
        (2359, 44, 8, 5, 2260, const { &[context(44), below(2360)] }),
        (2360, 44, 8, 6, 2360, const { &[context(44)] }),
        (2469, 49, 8, 6, 2410, const { &[context(49)] }),
        (2470, 50, 8, 6, 2420, &[]),
        (3100, 50, 64, 10, 3060, &[]),
        (9999, 50, 64, 24, 4460, &[]),          // every record has a slot
    ];
    for (budget, ctx, chunk, slots, bytes, warnings) in cases {
        let plan = Plan::make(&needs(), &wish(budget)).unwrap();
        let found = (plan.ctx, plan.chunk, plan.slot_count, plan.plan_bytes);
        assert_eq!(found, (ctx, chunk, slots, bytes), "budget {budget}");
        assert_eq!(plan.warnings, warnings, "budget {budget}");
        let warned = warnings.iter().any(|w| matches!(w, Warning::BelowCycle { .. }));
        assert_eq!(plan.below_cycle(), warned, "budget {budget}");
    }
}

#[test]
fn what_would_hold_the_cycle_holds_it() {
    for budget in 1490..2350 {
        let plan = Plan::make(&needs(), &wish(budget)).unwrap();
        let Some(&Warning::BelowCycle { needed_bytes }) = plan.warnings.last() else {
            panic!("budget {budget}: {:?}", plan.warnings)
        };
        let chunk = Some(plan.chunk);
        let again = Wish { budget_bytes: needed_bytes, ctx: Some(plan.ctx), chunk };
        assert!(!Plan::make(&needs(), &again).unwrap().below_cycle(), "{needed_bytes}");
    }
}

#[test]
fn plans_add_up_and_stay_below_their_budget() {
    for budget in 1490..5000 {
        let plan = Plan::make(&needs(), &wish(budget)).unwrap();
        assert_eq!(total(&plan), plan.plan_bytes, "budget {budget}");
        assert!(plan.floor_bytes <= plan.plan_bytes, "budget {budget}: {plan:?}");
        assert!(plan.plan_bytes <= budget, "budget {budget}: {plan:?}");
        // The floor that a plan names is a budget that runs its context.
        let least = Wish { ctx: Some(plan.ctx), ..wish(plan.floor_bytes) };
        let least = Plan::make(&needs(), &least).unwrap();
        let found = (least.plan_bytes, least.floor_bytes, least.ctx);
        assert_eq!(found, (plan.floor_bytes, plan.floor_bytes, plan.ctx), "budget {budget}");
    }
}

/// Budget, wished context and chunk; positions, chunk, scratch, slots; warned of the chunk.
type Chunk = (u64, Option<usize>, usize, usize, usize, u64, usize, bool);

#[test]
fn chunks_are_given_as_wished_if_they_fit() {
    #[rustfmt::skip]
    let cases: [Chunk; 9] = [
        (2020, None, 7, 25, 7, 60, 4, false), // costs what a chunk of 8 costs
        (1550, None, 7, 2, 7, 60, 2, false),  // comes before a context that nobody wished
        (1529, None, 7, 2, 1, 20, 2, true),   // does not even fit with one position
        (2010, Some(50), 7, 50, 1, 20, 2, true),
        (2020, Some(50), 8, 50, 8, 60, 2, false),
        (2100, Some(50), 64, 50, 8, 60, 2, true),
        (3000, Some(50), 64, 50, 64, 300, 9, false),
        (3000, Some(50), 100, 50, 64, 300, 9, true),
        (9999, Some(50), 1, 50, 1, 20, 24, false),
    ];
    for (budget_bytes, ctx, chunk, positions, given, scratch, slots, reduced) in cases {
        let wish = Wish { budget_bytes, ctx, chunk: Some(chunk) };
        let plan = Plan::make(&needs(), &wish).unwrap();
        let found = (plan.ctx, plan.chunk, plan.scratch_bytes, plan.slot_count);
        assert_eq!(found, (positions, given, scratch, slots), "{wish:?}");
        let warned = plan.warnings.contains(&Warning::ChunkReduced { wished: chunk, given });
        assert_eq!(warned, reduced, "{wish:?}: {:?}", plan.warnings);
        assert!(plan.plan_bytes <= budget_bytes, "{plan:?}");
    }
}

#[test]
fn a_wished_context_is_given_or_refused() {
    let make = |budget_bytes, ctx| {
        Plan::make(&needs(), &Wish { budget_bytes, ctx: Some(ctx), chunk: None })
    };
    let plan = make(1680, 20).unwrap();
    assert_eq!((plan.ctx, plan.kv_bytes, plan.floor_bytes), (20, 200, 1680));
    let error = make(1679, 20).unwrap_err();
    assert!(matches!(error, Refusal::Memory { floor_bytes: 1680, ctx: 20, .. }), "{error:?}");
    for wished in [0, 51] {
        let error = make(9999, wished).unwrap_err();
        let expected = format!("a context of {wished} positions, accepted are 1 to 50");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn the_usual_context_has_an_end() {
    let needs = Needs { context_max: 1 << 20, ..needs() };
    let plan = Plan::make(&needs, &wish(1 << 30)).unwrap();
    assert_eq!((plan.ctx, plan.kv_bytes), (32_768, 327_680));
    let wish = Wish { ctx: Some(1 << 20), ..wish(1 << 30) };
    assert_eq!(Plan::make(&needs, &wish).unwrap().ctx, 1 << 20, "unless it is wished");
}

#[test]
fn below_the_floor_a_refusal_says_what_adds_up() {
    let error = Plan::make(&needs(), &wish(1489)).unwrap_err();
    let Refusal::Memory { budget_bytes, floor_bytes, parts, ctx } = &error else {
        panic!("{error:?}")
    };
    assert_eq!((*budget_bytes, *floor_bytes, *ctx), (1489, 1490, 1));
    assert_eq!(parts.iter().map(|part| part.1).sum::<u64>(), 1490, "{parts:?}");
    assert_eq!(
        error.to_string(),
        "the memory budget is 1489 bytes, at least 1490 are needed: trunk 1000 + state 180 + kv 10 \
         + scratch 20 + io 30 + process 50 + slots 200"
    );
    let error = Plan::make(&needs(), &Wish { chunk: Some(0), ..wish(9999) }).unwrap_err();
    assert_eq!(error.to_string(), "a chunk of 0 positions, accepted are 1 or more");
}

#[test]
fn odd_needs_are_planned_too() {
    // Nothing but a trunk.
    let plan = Plan::make(&Needs { trunk_bytes: 7, ..Needs::default() }, &wish(7)).unwrap();
    let found = (plan.plan_bytes, plan.slot_count, plan.ctx, plan.chunk, plan.below_cycle());
    assert_eq!(found, (7, 0, 1, 1, false));
    // A step that needs more records than a bank has.
    let needs = Needs { records_per_step: 20, ..needs() };
    let plan = Plan::make(&needs, &wish(1490 + 600)).unwrap();
    assert_eq!((plan.slot_count, plan.cycle_bytes), (8, 3 * 8 * 90));
    // More than can be counted.
    for (field, huge) in [
        ("trunk", Needs { trunk_bytes: u64::MAX, ..needs.clone() }),
        ("kv", Needs { kv_bytes_per_position: u64::MAX, ..needs.clone() }),
        ("state", Needs { checkpoint_bytes: u64::MAX, ..needs.clone() }),
        ("slots", Needs { slot_bytes: u64::MAX / 2, ..needs.clone() }),
    ] {
        let error = Plan::make(&huge, &wish(1 << 40)).unwrap_err();
        assert!(matches!(error, Refusal::Memory { floor_bytes: u64::MAX, .. }), "{field}: {error}");
    }
    let many = Needs { banks: usize::MAX, records_per_bank: usize::MAX, ..needs };
    let plan = Plan::make(&many, &wish(5000)).unwrap();
    assert!(plan.below_cycle() && plan.plan_bytes <= 5000, "{plan:?}");
}

#[test]
fn warnings_are_one_line() {
    let lines = [
        Warning::BelowCycle { needed_bytes: 1890 },
        Warning::ChunkReduced { wished: 100, given: 64 },
        Warning::ContextReduced { usual: 50, given: 4 },
    ]
    .map(|warning| warning.to_string());
    assert_eq!(
        lines,
        [
            "the slots hold less than one cycle, so records leave before they are needed again; \
             1890 bytes of memory would hold it",
            "a chunk of 100 positions is not to be had, 64 is",
            "the memory gives 4 positions of context, 50 are usual",
        ]
    );
}
