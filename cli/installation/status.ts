import { isFinalRunStatus, type RunStatus, runStatuses } from '#schemas/run.ts';
import type { Me, Overview } from '../client.ts';
import { exitCodes } from '../exit-codes.ts';
import type { Invocation } from '../invocation.ts';
import { isAway, stillAway } from '../patience.ts';
import { describeFields } from '../show-value.ts';
import { describeAdmission, describeHold } from '../commands/starts.ts';
import { paintOfStatus } from '../status-words.ts';
import { type DiskFacts, readDisk, readPartProcesses } from './home-facts.ts';
import { describeBytes } from '../times.ts';

/** `kai status`: whether kOS is ready, and what runs and waits. Exit code 1 unless it is ready. */
export async function showStatus(invocation: Invocation): Promise<void> {
  const { client, output } = invocation;
  const { home } = await invocation.configuration();
  const processes = await readPartProcesses(home);
  const readiness = await client.ready().catch((error: unknown) => {
    const supervisorRuns = processes.some((part) => part.name === 'supervisor' && part.running);
    throw supervisorRuns && isAway(error) ? stillAway(error, 0) : error;
  });
  const [me, overview, starts] = await Promise.all([client.me(), client.overview(), client.starts.get()]);
  const url = await client.transport.address();
  // A home without processes belongs to a kOS elsewhere, whose disk is not here.
  const disk = processes.length === 0 ? null : await readDisk(home);
  invocation.exitCode = readiness.ready ? exitCodes.ok : exitCodes.error;
  if (output.json) {
    const { runs, openApprovals } = overview;
    output.document({
      ready: readiness.ready,
      url,
      version: me.version,
      home,
      disk,
      parts: readiness.parts,
      processes,
      workspace: me.workspace,
      runs,
      openApprovals,
      starts,
    });
    return;
  }
  const { green, red } = output.dataColours;
  const word = readiness.ready ? green('ready') : red('not ready');
  output.data(
    describeFields([
      ['kOS', `${word} at ${url}, version ${me.version}`],
      [
        'parts',
        Object.entries(readiness.parts)
          .map(([name, status]) => `${name} ${status === 'ok' ? status : red(status)}`)
          .join(', '),
      ],
      ['home', home],
      ...(disk === null ? [] : [['disk', describeDisk(disk, invocation)] as [string, string]]),
      ['signed in', describeIdentity(me)],
      ['runs', describeRuns(overview.runs, invocation)],
      ['approvals', describeApprovals(overview)],
      ...(starts.hold === null
        ? []
        : [['starts', `${describeHold(starts)} ${starts.waiting === 1 ? '1 waits' : `${starts.waiting} wait`}: kai resume --all`] as [string, string]]),
      ...(starts.admission.waiting === 0 ? [] : [['at work', describeAdmission(starts)] as [string, string]]),
    ]),
  );
  if (!readiness.ready) output.say('What is wrong: kai doctor');
}

function describeDisk({ freeBytes, runsWait }: DiskFacts, { output }: Invocation): string {
  const free = `${describeBytes(freeBytes)} free`;
  return runsWait ? output.dataColours.red(`${free}: new runs wait until there is 1 GB`) : free;
}

const describeIdentity = (me: Me): string => `${me.principal.name}, ${me.roles.join(', ')} of the workspace ${me.workspace?.slug ?? '(none)'}`;

function describeRuns(runs: Overview['runs'], { output }: Invocation): string {
  const counts = runStatuses.map((status) => [status, runs[status] ?? 0] as const).filter(([, count]) => count > 0);
  if (counts.length === 0) return 'none yet; start one: kai run start log-triage --input path=/var/log --wait';
  const open = (status: RunStatus): number => (isFinalRunStatus(status) ? 1 : 0);
  return counts
    .toSorted(([left], [right]) => open(left) - open(right))
    .map(([status, count]) => `${count.toLocaleString('en-US')} ${paintOfStatus(status, output.dataColours)(status)}`)
    .join(', ');
}

function describeApprovals({ openApprovals }: Overview): string {
  if (openApprovals === 0) return 'none waits for a decision';
  return `${openApprovals === 1 ? '1 waits' : `${openApprovals} wait`} for a decision: kai approval list`;
}
