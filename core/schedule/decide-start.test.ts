import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { overlapPolicies } from '#schemas/schedule.ts';
import { lostRight } from '../policy/delegated.ts';
import { permissions, permissionsOfRoles, roles } from '../policy/permissions.ts';
import { decideStart, type StartFacts } from './decide-start.ts';

const someFacts: fc.Arbitrary<StartFacts> = fc.record({
  kind: fc.constantFrom('regular', 'manual', 'backfill'),
  paused: fc.boolean(),
  deleted: fc.boolean(),
  runsLeft: fc.option(fc.integer({ min: 0, max: 3 })),
  overlap: fc.constantFrom(...overlapPolicies),
  openRuns: fc.array(fc.uuid(), { maxLength: 3 }),
  lostRight: fc.option(fc.string()),
});

describe('a start that is due', () => {
  it('is never taken by what is deleted or may not act, by the clock never while paused or spent', () => {
    fc.assert(
      fc.property(someFacts, (facts) => {
        const decision = decideStart(facts);
        if (facts.deleted || facts.lostRight !== null) expect(decision.do).not.toBe('accept');
        if (facts.kind === 'regular' && (facts.paused || facts.runsLeft === 0)) expect(decision.do).not.toBe('accept');
        if (decision.do === 'pause' || decision.do === 'refuse') expect(facts.lostRight).toBe(decision.reason);
        // An order that may not be carried out is no fault of the schedule.
        if (decision.do === 'pause') expect(facts.kind).toBe('regular');
        if (decision.do === 'refuse') expect(facts.kind).not.toBe('regular');
        if (decision.do === 'accept') expect(decision.end).toEqual(facts.kind === 'regular' && facts.overlap === 'terminateOther' ? facts.openRuns : []);
      }),
    );
  });

  it('never overlaps where it must not, whoever started the other one', () => {
    fc.assert(
      fc.property(someFacts, (facts) => {
        if (facts.kind === 'regular' && facts.overlap === 'skip' && facts.openRuns.length > 0) expect(decideStart(facts).do).not.toBe('accept');
      }),
    );
  });
});

describe('what acts for somebody', () => {
  it('may what it was granted and they may now, and says what is lost', () => {
    fc.assert(
      fc.property(
        fc.subarray([...permissions]),
        fc.option(fc.subarray([...roles])),
        fc.constantFrom('runs:start' as const, 'runs:cancel' as const),
        (grant, held, needed) => {
          const lost = lostRight(grant, held === null ? null : { roles: held, installationRole: null }, needed, 'prn_1');
          const may = grant.includes(needed) && held !== null && permissionsOfRoles(held).has(needed);
          expect(lost === null).toBe(may);
        },
      ),
    );
  });
});
