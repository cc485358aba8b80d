import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ApprovalArgument } from '#schemas/approval.ts';
import type { ApprovalRule } from '#schemas/approval-rule.ts';
import { isAsked, type Member, mostApprovers, resolveApprover } from './approvers.ts';
import { editArguments } from './edit.ts';
import { checkCondition, type conditionTemplate, coversTool, matchRules, refusalOf } from './rules.ts';
import { peopleWhoApproved, statusOf } from './tally.ts';

const people = fc.constantFrom('ann', 'bob', 'cem', 'dee');
const digests = fc.constantFrom('old', 'new');
const decisions = fc.array(
  fc.record({ by: fc.constantFrom('key1', 'key2', 'agent1'), responsible: people, decision: fc.constant('approve' as const), argumentsDigest: digests }),
  { maxLength: 12 },
);

describe('a tally', () => {
  it('counts each person once, and only for the arguments as they are', () => {
    fc.assert(
      fc.property(decisions, fc.integer({ min: 1, max: 5 }), (made, required) => {
        const counting = new Set(made.filter(({ argumentsDigest }) => argumentsDigest === 'new').map(({ responsible }) => responsible));
        const standing = { required, argumentsDigest: 'new', decisions: made };
        expect(peopleWhoApproved(standing)).toEqual(counting);
        expect(statusOf(standing)).toBe(counting.size >= required ? 'approved' : 'open');
      }),
    );
  });

  it('is denied by one denial, whatever else was said', () => {
    fc.assert(
      fc.property(decisions, decisions, (before, after) => {
        const denial = { by: 'key1', responsible: 'ann', decision: 'deny' as const, argumentsDigest: 'old' };
        expect(statusOf({ required: 1, argumentsDigest: 'new', decisions: [...before, denial, ...after] })).toBe('denied');
      }),
    );
  });
});

describe('who is asked', () => {
  const members: Member[] = [
    { id: 'prn_1', kind: 'user', name: 'Ann', login: 'ann@example.com' },
    { id: 'prn_2', kind: 'user', name: 'Bob', login: null },
    { id: 'prn_3', kind: 'user', name: 'Bob', login: null },
    { id: 'prn_4', kind: 'agent', name: 'Ann', login: null },
    // Calls itself by another's sign-in name, and by another's id.
    { id: 'prn_5', kind: 'user', name: 'ann@example.com', login: null },
    { id: 'prn_6', kind: 'user', name: 'prn_1', login: null },
  ];

  it('is found by id, by sign-in name, by a name that one has alone, and becomes an id', () => {
    expect(resolveApprover('user:Ann', members)).toEqual({ ok: true, approver: 'user:prn_1' });
    expect(resolveApprover('agent:Ann', members)).toEqual({ ok: true, approver: 'agent:prn_4' });
    expect(resolveApprover('user:ann@example.com', members)).toEqual({ ok: true, approver: 'user:prn_1' });
    expect(resolveApprover('user:prn_1', members)).toEqual({ ok: true, approver: 'user:prn_1' });
    expect(resolveApprover('role:admin', members)).toEqual({ ok: true, approver: 'role:admin' });
  });

  it('is nobody where a name is nobody’s, several people’s, or of another kind', () => {
    expect(resolveApprover('user:Bob', members)).toEqual({ ok: false, matches: 2 });
    expect(resolveApprover('user:Zoe', members)).toEqual({ ok: false, matches: 0 });
    expect(resolveApprover('agent:prn_1', members)).toEqual({ ok: false, matches: 0 });
  });

  it('is who is named or holds the role, or one that includes it, and nobody by an unknown form', () => {
    const as = (principalId: string, ...roles: ('approver' | 'admin' | 'operator' | 'owner')[]) => ({ principalId, roles });
    expect(isAsked(as('prn_9', 'admin'), ['role:approver'])).toBe(true);
    expect(isAsked(as('prn_9', 'operator'), ['role:approver'])).toBe(false);
    expect(isAsked(as('prn_1', 'operator'), ['role:approver', 'user:prn_1'])).toBe(true);
    expect(isAsked(as('prn_9', 'owner'), ['user:prn_1', 'anyone', 'role:', 'user:', 'group:prn_9'])).toBe(false);
    expect([mostApprovers(['user:a', 'user:b', 'user:a']), mostApprovers(['user:a', 'role:admin'])]).toEqual([2, null]);
  });
});

const shown: ApprovalArgument[] = [
  { stepPath: 'note', kind: 'tool', tool: 'fs.write', input: { path: 'out/a', content: 'x' } },
  { stepPath: 'report', kind: 'artifact', input: { name: 'r', content: 'y' } },
];

describe('an edit', () => {
  it('replaces inputs and nothing else', () => {
    const edit = editArguments(shown, [{ stepPath: 'note', input: { path: 'out/b', content: 'z' } }]);
    expect(edit).toEqual({ ok: true, arguments: [{ ...shown[0], input: { path: 'out/b', content: 'z' } }, shown[1]] });
  });

  it('of another step, kind or tool, or of one step twice is refused', () => {
    const pointers = (edited: Parameters<typeof editArguments>[1]) => {
      const edit = editArguments(shown, edited);
      return edit.ok ? [] : edit.faults.map(({ pointer }) => pointer);
    };
    expect(pointers([{ stepPath: 'other', input: 1 }])).toEqual(['/arguments/0/stepPath']);
    expect(pointers([{ stepPath: 'note', tool: 'fs.create', input: {} }])).toEqual(['/arguments/0/tool']);
    expect(pointers([{ stepPath: 'note', kind: 'llm', input: {} }])).toEqual(['/arguments/0/kind']);
    expect(
      pointers([
        { stepPath: 'note', input: {} },
        { stepPath: 'note', input: {} },
      ]),
    ).toEqual(['/arguments/1/stepPath']);
  });
});

const rule = (name: string, tool: string, when: string | null): ApprovalRule => ({
  name,
  version: 3,
  tool,
  when,
  description: null,
  removed: false,
  createdBy: 'prn_1',
  createdAt: '2031-01-01T00:00:00.000Z',
});

describe('a rule', () => {
  const asked = { required: 1, fourEyes: false, approvers: ['role:approver'], arguments: [shown[0]!] };
  const never = () => false;

  it('decides only what one admin alone could have decided, and only calls of tools that are not always asked for', () => {
    expect(refusalOf(asked, never)).toBeNull();
    expect(refusalOf({ ...asked, required: 2 }, never)).toBe('several_people');
    expect(refusalOf({ ...asked, fourEyes: true }, never)).toBe('four_eyes');
    expect(refusalOf({ ...asked, approvers: ['user:prn_1'] }, never)).toBe('not_an_admins');
    expect(refusalOf({ ...asked, approvers: ['role:owner'] }, never)).toBe('not_an_admins');
    expect(refusalOf({ ...asked, arguments: [] }, never)).toBe('nothing_covered');
    expect(refusalOf({ ...asked, arguments: shown }, never)).toBe('no_tool');
    expect(refusalOf(asked, (tool) => tool === 'fs.write')).toBe('always_ask');
  });

  it('covers a tool or a room of tools', () => {
    expect(coversTool('fs.write', 'fs.write')).toBe(true);
    expect(coversTool('fs.*', 'fs.write')).toBe(true);
    expect(coversTool('fs.*', 'fsx.write')).toBe(false);
    expect(coversTool('fs.write', 'fs.writeAll')).toBe(false);
  });

  it('is an expression over arguments that gives true or false', () => {
    const schema = { type: 'object', properties: { path: { type: 'string' } }, required: ['path'], additionalProperties: false };
    expect(checkCondition('arguments.path.startsWith("out/")', schema)).toEqual([]);
    expect(checkCondition('${arguments.path == "a"}', null)).toEqual([]);
    expect(checkCondition('arguments.pth == "a"', schema)).toHaveLength(1);
    expect(checkCondition('arguments.path', schema)[0]?.message).toContain('true or false');
    expect(checkCondition('steps.a.output', null)[0]?.message).toContain('not known to a rule');
    expect(checkCondition('${true} and more ${false}', null)[0]?.message).toContain('one expression');
    expect(checkCondition('arguments.path ==', null)).toHaveLength(1);
  });

  it('must be there for every argument; one that cannot be evaluated approves nothing', async () => {
    const met = async (template: ReturnType<typeof conditionTemplate>['template']) =>
      template.source === '${fails}' ? ('failed' as const) : template.source === '${true}';
    const two: ApprovalArgument[] = [shown[0]!, { stepPath: 'mail', kind: 'tool', tool: 'mail.send', input: {} }];
    const matched = async (...rules: ApprovalRule[]) => matchRules(rules, two, met);
    expect((await matched(rule('files', 'fs.*', null), rule('mails', 'mail.send', 'true'))).rules).toEqual([
      { name: 'files', version: 3 },
      { name: 'mails', version: 3 },
    ]);
    expect((await matched(rule('files', 'fs.*', null))).rules).toBeNull();
    expect(await matched(rule('files', 'fs.*', 'fails'), rule('mails', 'mail.send', 'true'))).toEqual({ rules: null, failed: [{ name: 'files', version: 3 }] });
    expect((await matchRules([rule('all', 'fs.*', null)], [], met)).rules).toBeNull();
  });
});
