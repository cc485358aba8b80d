import type { ChannelTopic } from '#schemas/channel.ts';
import type { Digest, FailedRun } from './failures.ts';

/** What people are told, before it takes the form of the service that they read it in. */
export interface Message {
  topic: ChannelTopic | 'channel.test';
  /** One line. */
  title: string;
  facts: { name: string; value: string }[];
  /** Where to look, and the command that does the same. */
  link: { title: string; url: string } | null;
  command: string | null;
  runId: string | null;
}

/** Of whatever length it is: services refuse texts that are too long, and people do not read them. */
export const shortened = (text: string, longest: number): string => (text.length <= longest ? text : `${text.slice(0, longest - 1).trimEnd()}…`);

const factLongest = 500;
const facts = (given: Record<string, string | null>): Message['facts'] =>
  Object.entries(given).flatMap(([name, value]) => (value === null || value === '' ? [] : [{ name, value: shortened(value, factLongest) }]));

const runLink = (publicUrl: string, runId: string): Message['link'] => ({ title: 'Open the run', url: `${publicUrl}/v1/runs/${runId}` });

export function failureMessage(plan: string, { runId, code, message, stepPath }: FailedRun, publicUrl: string): Message {
  return {
    topic: 'run.failed',
    title: `A run of ${plan} failed: ${code}`,
    facts: facts({ Step: stepPath, Error: message, Run: runId }),
    link: runLink(publicUrl, runId),
    command: `kai run why ${runId}`,
    runId,
  };
}

export function digestMessage(plan: string, { count, newest }: Digest, publicUrl: string): Message {
  const more = count - newest.length;
  const lines = newest.map(({ runId, code }) => `${runId} ${code}`);
  const [last] = newest;
  return {
    topic: 'run.failed',
    title: count === 1 ? `Another run of ${plan} failed` : `${count} more runs of ${plan} failed`,
    facts: [{ name: 'Runs', value: [...lines, ...(more > 0 ? [`and ${more} more`] : [])].join('\n') }],
    link: last === undefined ? null : runLink(publicUrl, last.runId),
    command: `kai run list --plan ${plan} --status failed`,
    runId: last?.runId ?? null,
  };
}

export interface AskedApproval {
  approvalId: string;
  runId: string;
  plan: string;
  stepPath: string;
  from: string | null;
  expiresAt: string | null;
}

/** The arguments stay where they are decided on: a channel has other readers. */
export function approvalMessage({ approvalId, runId, plan, stepPath, from, expiresAt }: AskedApproval, publicUrl: string): Message {
  return {
    topic: 'approval.requested',
    title: `${plan} waits for an approval`,
    facts: facts({ Step: stepPath, From: from, 'Expires at': expiresAt, Approval: approvalId, Run: runId }),
    link: { title: 'Open the approval', url: `${publicUrl}/v1/approvals/${approvalId}` },
    command: `kai approval get ${approvalId}`,
    runId,
  };
}

export function uncertainMessage(
  { runId, plan, stepPath, message }: { runId: string; plan: string; stepPath: string; message: string | null },
  publicUrl: string,
): Message {
  return {
    topic: 'step.uncertain',
    title: `Nobody can say whether a step of ${plan} took effect`,
    facts: facts({ Step: stepPath, Why: message, Run: runId }),
    link: runLink(publicUrl, runId),
    command: `kai run why ${runId}`,
    runId,
  };
}

export function missedMessage(
  { scheduleId, name, nominalAt, reason }: { scheduleId: string; name: string; nominalAt: readonly string[]; reason: string | null },
  publicUrl: string,
): Message {
  const shown = nominalAt.slice(0, 5).join(', ');
  return {
    topic: 'schedule.missed',
    title: nominalAt.length === 1 ? `The schedule ${name} missed a start` : `The schedule ${name} missed ${nominalAt.length} starts`,
    facts: facts({ 'Due at': nominalAt.length > 5 ? `${shown}, …` : shown, Why: reason }),
    link: { title: 'Open the schedule', url: `${publicUrl}/v1/schedules/${scheduleId}` },
    command: `kai schedule get ${name}`,
    runId: null,
  };
}

export const testMessage = (channel: string, publicUrl: string): Message => ({
  topic: 'channel.test',
  title: `This is a test of the channel ${channel}`,
  facts: [],
  link: { title: 'Open kOS', url: publicUrl },
  command: `kai channel get ${channel}`,
  runId: null,
});
