import { type Command, InvalidArgumentError } from 'commander';
import type { ApprovalRule, RuleTrial } from '#schemas/approval-rule.ts';
import { confirmed } from '../confirm.ts';
import { exitCodes } from '../exit-codes.ts';
import { asKosError } from '../faults.ts';
import type { Invocation } from '../invocation.ts';
import { showPage } from '../lists.ts';
import { describeFields } from '../show-value.ts';
import { visibleLine } from '../terminal-text.ts';
import { describeInstant } from '../times.ts';

interface DraftOptions {
  tool: string;
  when?: string;
}

export function defineRules(rule: Command, invocation: Invocation): void {
  rule
    .command('list')
    .summary('the rules that hold')
    .action(async () => {
      showRules(invocation, (await invocation.client.rules.list()).items, 'There is no rule: people decide every approval.');
    });
  rule
    .command('get')
    .summary('every version of a rule')
    .argument('<name>', 'the rule')
    .action(async (name: string) => {
      showRules(invocation, (await invocation.client.rules.versions(name)).value.items, '');
    });
  addDraft(rule.command('set').summary('set a rule: the next version of its name').argument('<name>', 'the rule'))
    .option('--description <text>', 'why it is safe')
    .option('-y, --yes', 'do not ask')
    .action(async (name: string, options: DraftOptions & { description?: string; yes?: boolean }) => {
      await set(invocation, name, options);
    });
  rule
    .command('remove')
    .summary('remove a rule: people decide again')
    .argument('<name>', 'the rule')
    .action(async (name: string) => {
      const { client, output } = invocation;
      await client.rules.remove(name, (await client.rules.versions(name)).etag);
      if (output.json) output.document({ name, removed: true });
      else output.say(`Removed ${name}; approvals that it gave stand.`);
    });
  addDraft(rule.command('test').summary('what a rule would have done to past approvals; changes nothing'))
    .option('-n, --limit <count>', 'how many approvals to look at, newest first, 1 to 500', parseCount, 200)
    .action(async (options: DraftOptions & { limit: number }) => {
      const { client, output } = invocation;
      const trial = await client.rules.test({ ...draftOf(options), limit: options.limit });
      if (output.json) output.document(trial);
      else output.data(describeTrial(trial));
    });
}

const addDraft = (command: Command): Command =>
  command
    .requiredOption('--tool <tool>', 'the tool, or a room of tools such as fs.*')
    .option('--when <expression>', 'CEL over arguments, the input of the call; without it, whatever they are')
    .addHelpText('after', `\nExample: --tool fs.write --when 'arguments.path.startsWith("out/") && size(arguments.content) < 10000'`);

const draftOf = ({ tool, when }: DraftOptions): DraftOptions => ({ tool, ...(when === undefined ? {} : { when }) });

/** Shows what it would have approved, and asks: from now on nobody is asked. */
async function set(invocation: Invocation, name: string, options: DraftOptions & { description?: string; yes?: boolean }): Promise<void> {
  const { client, output } = invocation;
  if (options.yes !== true) {
    output.say(describeTrial(await client.rules.test(draftOf(options))));
    if (!(await confirmed(output, 'Let this rule approve from now on?', 'Set it without being asked: --yes'))) {
      output.say('Nothing was set.');
      invocation.exitCode = exitCodes.error;
      return;
    }
  }
  const body = { ...draftOf(options), ...(options.description === undefined ? {} : { description: options.description }) };
  const rule = await client.rules.set(name, body, await etagOf(invocation, name));
  if (output.json) output.document(rule);
  else output.say(`Set ${rule.name}@${rule.version}.`);
}

/** Empty: there is no such rule yet. */
async function etagOf({ client }: Invocation, name: string): Promise<string> {
  try {
    return (await client.rules.versions(name)).etag;
  } catch (thrown) {
    const error = asKosError(thrown);
    if (error.code === 'rule_not_found') return '';
    throw error;
  }
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > 500) throw new InvalidArgumentError('It must be a whole number from 1 to 500.');
  return count;
}

function showRules(invocation: Invocation, items: ApprovalRule[], empty: string): void {
  const now = Date.now();
  showPage(
    invocation,
    { items, nextCursor: null },
    {
      headings: ['RULE', 'TOOL', 'WHEN', 'BY', 'SET'],
      row: (rule) => [
        `${rule.name}@${rule.version}${rule.removed ? ' (removed)' : ''}`,
        rule.tool,
        visibleLine(rule.when ?? 'always'),
        rule.createdBy,
        describeInstant(rule.createdAt, now),
      ],
      empty,
    },
  );
}

function describeTrial({ examined, wouldApprove, became, failed, sample }: RuleTrial): string {
  const outcomes = Object.entries(became).map(([status, count]) => `${count} ${status}`);
  const fields = describeFields([
    ['examined', `${examined} approvals, the newest`],
    ['would approve', `${wouldApprove}${outcomes.length === 0 ? '' : `; what became of them: ${outcomes.join(', ')}`}`],
    ['not evaluated', failed === 0 ? null : `${failed}: the expression fails on their arguments, so people would be asked`],
  ]);
  return [fields, ...sample.map(({ approvalId, runId, stepPath, status }) => `  ${approvalId} ${status} ${visibleLine(stepPath)} of ${runId}`)].join('\n');
}
