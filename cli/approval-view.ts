import type { Approval } from '#schemas/approval.ts';
import type { Json } from '#schemas/json.ts';
import type { Colours } from './output.ts';
import { describeFields } from './show-value.ts';
import { visibleLine, visibleText } from './terminal-text.ts';
import { describeInstant } from './times.ts';

/**
 * All that a decision is about: what will be done with which input, and the digest that the decision names. Nothing is cut; the arguments, which may be
 * long, come first, so that the question stands under what sums them up.
 */
export function describeApproval(approval: Approval, colours: Colours, now: number): string {
  return [...describeArguments(approval, colours), '', summarizeApproval(approval, now)].join('\n');
}

/** Everything but the arguments. */
export function summarizeApproval(approval: Approval, now: number): string {
  const fields = describeFields([
    ['approval', approval.id],
    ['run', approval.runId],
    ['step', approval.path],
    ['for', approval.arguments.map((argument) => `${visibleLine(argument.stepPath)} (${visibleLine(argument.tool ?? argument.kind)})`).join(', ')],
    ['status', approval.status],
    ['decided', describeDecisions(approval, now)],
    ['decides', `${visibleLine(approval.from)}${approval.fourEyes ? ', but not who answers for the run' : ''}`],
    ['approvals', approval.required === 1 ? null : `${approval.approvedBy} of ${approval.required} people`],
    ['claimed', approval.claim === null ? null : `by ${approval.claim.by}, until ${describeInstant(approval.claim.until, now)}`],
    ['asked', describeInstant(approval.createdAt, now)],
    [approval.status === 'open' ? 'expires' : 'expiry', approval.expiresAt === null ? 'never' : describeInstant(approval.expiresAt, now)],
    ['digest', approval.argumentsDigest],
  ]);
  const message = approval.message === null ? [] : ['', visibleText(approval.message)];
  return [fields, ...message, ...describeComments(approval, now)].join('\n');
}

const describeComments = ({ comments }: Approval, now: number): string[] =>
  comments.length === 0 ? [] : ['', ...comments.map(({ by, at, text }) => `${visibleLine(by)} ${describeInstant(at, now)}: ${visibleText(text)}`)];

function describeDecisions(approval: Approval, now: number): string | null {
  const decisions = approval.decisions.map(
    (decision) =>
      `${visibleLine(decision.by)}: ${decision.decision}${standing(approval, decision)} ${describeInstant(decision.at, now)}${decision.reason === null ? '' : ` (${visibleLine(decision.reason)})`}`,
  );
  return decisions.length === 0 ? null : decisions.join('\n');
}

/** An approval of arguments that were replaced since no longer counts, and the reader must see that. */
function standing(approval: Approval, decision: Approval['decisions'][number]): string {
  if (decision.argumentsDigest !== undefined && decision.argumentsDigest !== approval.argumentsDigest) return ' (of earlier arguments: does not count)';
  return decision.edited === true ? ' (with other arguments)' : '';
}

function describeArguments(approval: Approval, colours: Colours): string[] {
  if (approval.arguments.length === 0) return [colours.dim('No step waits behind it: the decision is about the message alone.')];
  return approval.arguments.flatMap((argument) => [
    `${colours.bold(visibleLine(argument.stepPath))} ${visibleLine(argument.tool ?? argument.kind)} ${colours.dim(describeFate(approval, argument.stepPath))}`,
    indent(visibleText(describeInput(argument.input))),
  ]);
}

function describeFate({ endedByHand }: Approval, stepPath: string): string {
  const ended = endedByHand.find((each) => each.stepPath === stepPath);
  if (ended === undefined) return 'would run with';
  const done = ended.action === 'skip' ? 'skipped' : 'overridden';
  return `was ${done} by ${visibleLine(ended.by)} (${visibleLine(ended.reason)}): it does not run, whatever is decided. Asked for was`;
}

/** Texts of several lines are shown as lines, not with `\n` in them: a report is to be read before it is signed. */
function describeInput(input: Json): string {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) return typeof input === 'string' ? input : JSON.stringify(input, null, 2);
  return Object.entries(input)
    .map(([name, value]) => (typeof value === 'string' && value.includes('\n') ? `${name}:\n${indent(value)}` : `${name}: ${JSON.stringify(value, null, 2)}`))
    .join('\n');
}

const indent = (text: string): string => text.replace(/^/gm, '  ');
