import { ruleFaults } from '#core/approval/rules.ts';
import { type FaultDetail, KosError } from '#core/errors.ts';
import { didYouMean } from '#core/expression/closest-name.ts';
import { escapePointer } from '#core/expression/template.ts';
import { nameOfReference } from '#core/plan/called-plans.ts';
import { validateInput } from '#core/plan/validate-input.ts';
import { type Role, rolesIncludedIn } from '#core/policy/permissions.ts';
import { checkSpec } from '#core/schedule/spec.ts';
import { readMapping } from '#core/trigger/mapping.ts';
import type { JsonObject } from '#schemas/json.ts';
import { outgoingUrlSchema } from '#schemas/webhook.ts';
import type { Present } from './present.ts';
import { type GivenSecrets, secretFor } from './secrets.ts';
import type { FileFault, Wanted, Written } from './wanted.ts';

export interface CheckOptions {
  prune: boolean;
  /** Of whoever applies. */
  ownRoles: readonly Role[];
  secrets: GivenSecrets;
}

/** What is wrong with files beyond their form: references, inputs, expressions, and what the API would refuse once half of it was done. Plans themselves are checked by the server. */
export function checkWanted(wanted: Wanted, present: Present, options: CheckOptions): FileFault[] {
  const checker = new Checker(wanted, present, options);
  checker.checkAll();
  return checker.faults;
}

/** References that must be looked up for that: those of saved plans. */
export function savedReferences(wanted: Wanted): string[] {
  const references = [...wanted.schedules.values(), ...wanted.triggers.values()].map(({ document }) => document.plan);
  return [...new Set(references)].filter((reference) => !wanted.plans.has(reference));
}

class Checker {
  readonly faults: FileFault[] = [];
  readonly #wanted: Wanted;
  readonly #present: Present;
  readonly #options: CheckOptions;

  constructor(wanted: Wanted, present: Present, options: CheckOptions) {
    this.#wanted = wanted;
    this.#present = present;
    this.#options = options;
  }

  checkAll(): void {
    for (const plan of this.#wanted.plans.values()) this.#checkCalls(plan.name);
    for (const name of this.#wanted.schedules.keys()) this.#checkSchedule(name);
    for (const name of this.#wanted.triggers.keys()) this.#checkTrigger(name);
    for (const name of this.#wanted.channels.keys()) this.#checkChannel(name);
    for (const rule of this.#wanted.rules.values()) for (const fault of ruleFaults(rule.document, this.#present.tools)) this.#fault(rule, fault);
    this.#checkRoles();
  }

  #fault({ path, locate }: Written, fault: FaultDetail): void {
    this.faults.push({ path, fault: { ...fault, ...locate(fault.pointer) } });
  }

  #isPruned(name: string): boolean {
    return this.#options.prune && this.#wanted.plans.size > 0 && !this.#wanted.plans.has(name);
  }

  /** That a plan is there at all the server sees itself; not that it is about to be removed. */
  #checkCalls(name: string): void {
    const plan = this.#wanted.plans.get(name);
    if (plan === undefined) return;
    for (const [id, step] of Object.entries((plan.document['steps'] ?? {}) as Record<string, JsonObject>)) {
      const reference = step['plan'];
      if (typeof reference === 'string' && this.#present.plans.has(nameOfReference(reference)) && this.#isPruned(nameOfReference(reference)))
        this.#fault(plan, prunedPlan(`/steps/${escapePointer(id)}/plan`, nameOfReference(reference)));
    }
  }

  /** The plan that a schedule or a trigger starts; null, and a fault: there is none. */
  #findPlan(written: Written, reference: string): { inputSchema: JsonObject[string] } | null {
    const name = nameOfReference(reference);
    const wanted = this.#wanted.plans.get(reference);
    if (wanted !== undefined) return { inputSchema: wanted.document['input'] ?? null };
    if (this.#wanted.unreadable.has(name)) return null;
    if (this.#isPruned(name) && this.#present.plans.has(name)) {
      this.#fault(written, prunedPlan('/plan', name));
      return null;
    }
    const document = this.#present.plans.has(name) ? this.#present.documents.get(reference) : undefined;
    if (document !== undefined) return { inputSchema: document['input'] ?? null };
    const suggestion = didYouMean(
      name,
      [...this.#wanted.plans.keys(), ...this.#present.plans.keys()].filter((known) => known !== name),
    );
    const message = `there is no plan "${reference}", neither in the files nor in this workspace`;
    this.#fault(written, { pointer: '/plan', message, ...(suggestion === undefined ? {} : { suggestion }) });
    return null;
  }

  #checkSchedule(name: string): void {
    const written = this.#wanted.schedules.get(name);
    if (written === undefined) return;
    const { plan, spec, input } = written.document;
    for (const fault of faultsThrown(() => checkSpec(spec))) this.#fault(written, fault);
    const found = this.#findPlan(written, plan);
    if (found === null) return;
    const result = validateInput(found.inputSchema, input);
    if (!result.ok) for (const fault of result.faults) this.#fault(written, { ...fault, pointer: `/input${fault.pointer}` });
  }

  #checkTrigger(name: string): void {
    const written = this.#wanted.triggers.get(name);
    if (written === undefined) return;
    const { document } = written;
    this.#findPlan(written, document.plan);
    for (const fault of readMapping(document).faults) this.#fault(written, fault);
    if (document.scheme !== 'standard' && document.publicKeys.length > 0)
      this.#fault(written, { pointer: '/publicKeys', message: 'only senders of Standard Webhooks have public keys' });
    const before = this.#present.triggers.get(name);
    if (before === undefined) this.#checkSecret(written, document);
    else if (before.scheme !== document.scheme)
      this.#fault(written, {
        pointer: '/scheme',
        message: `the trigger "${name}" knows its sender by ${before.scheme}, and its secret belongs to that`,
        suggestion: `choose another name, or remove it first: kai trigger remove ${name}`,
      });
  }

  #checkSecret(written: Written, { name, scheme }: { name: string; scheme: string }): void {
    if ((scheme !== 'stripe' && scheme !== 'slack') || secretFor(this.#options.secrets, 'trigger', name) !== undefined) return;
    this.#fault(written, {
      pointer: '/scheme',
      message: `${scheme === 'stripe' ? 'Stripe' : 'Slack'} makes the secret, and "${name}" is new here`,
      suggestion: 'give it beside the files: kai apply --secrets FILE, with a line "NAME: SECRET"',
    });
  }

  #checkChannel(name: string): void {
    const written = this.#wanted.channels.get(name);
    if (written === undefined) return;
    const { host } = written.document;
    const before = this.#present.channels.get(name);
    const given = secretFor(this.#options.secrets, 'channel', name);
    const suggestion = `give it beside the files: kai apply --secrets FILE, with a line "channel/${name}: https://…"`;
    if (given !== undefined) {
      const leadsTo = outgoingUrlSchema.safeParse(given).success ? new URL(given).host : null;
      // What was given is not quoted: whoever knows the address may write there.
      if (leadsTo === null) this.#fault(written, { pointer: '/name', message: `what is given for "${name}" beside the files is no address`, suggestion });
      else if (host !== undefined && host !== leadsTo)
        this.#fault(written, { pointer: '/host', message: `the address that is given for "${name}" leads to ${leadsTo}` });
    } else if (before === undefined)
      this.#fault(written, { pointer: '/name', message: `the address of a channel is a secret, and "${name}" is new here`, suggestion });
    else if (host !== undefined && host !== before.host)
      this.#fault(written, { pointer: '/host', message: `the address of "${name}" leads to ${before.host}, and another one is a secret`, suggestion });
  }

  #checkRoles(): void {
    const { roles } = this.#wanted;
    const own = rolesIncludedIn(this.#options.ownRoles);
    for (const [login, written] of roles) {
      const held = this.#present.members.find((member) => member.login === login)?.roles ?? [];
      if (held.length === written.roles.length && held.every((role) => written.roles.includes(role))) continue;
      const beyond = [...held, ...written.roles].find((role) => !own.has(role));
      if (beyond !== undefined)
        this.#fault(written, { pointer: written.pointer, message: `only who holds the role ${beyond} may change the roles of ${login} so` });
    }
    const [first] = roles.values();
    if (first === undefined || this.#present.members.some((member) => !member.disabled && this.#rolesAfter(member).includes('owner'))) return;
    this.#fault(first, { pointer: '/members', message: 'that would leave this workspace without an owner' });
  }

  #rolesAfter({ login, roles }: Present['members'][number]): readonly Role[] {
    return (login === null ? undefined : this.#wanted.roles.get(login)?.roles) ?? roles;
  }
}

const prunedPlan = (pointer: string, name: string): FaultDetail => ({
  pointer,
  message: `the plan "${name}" stands in no file, and --prune would remove it`,
  suggestion: 'add its file (kai export writes it), or leave --prune out',
});

function faultsThrown(check: () => unknown): readonly FaultDetail[] {
  try {
    check();
    return [];
  } catch (error) {
    if (error instanceof KosError) return error.details;
    throw error;
  }
}

/** Schedules and triggers that stay and whose plan would be removed, in words; those in files have faults of their own. */
export function usersOfRemoved(
  present: Present,
  removed: { plans: ReadonlySet<string>; schedules: ReadonlySet<string>; triggers: ReadonlySet<string> },
  wanted: Wanted,
): string[] {
  const users = (
    kind: 'schedule' | 'trigger',
    those: Iterable<{ name: string; plan: string }>,
    gone: ReadonlySet<string>,
    named: ReadonlyMap<string, unknown>,
  ): string[] =>
    [...those]
      .filter(({ name, plan }) => !gone.has(name) && !named.has(name) && removed.plans.has(nameOfReference(plan)))
      .map(({ name, plan }) => `${kind} ${name} starts ${plan}`);
  return [
    ...users('schedule', present.schedules.values(), removed.schedules, wanted.schedules),
    ...users('trigger', present.triggers.values(), removed.triggers, wanted.triggers),
  ];
}
