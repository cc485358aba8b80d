import type { BackfillPreview, DueTime, Schedule, SchedulePreview, ScheduleStart } from '#schemas/schedule.ts';
import { describeFields } from './show-value.ts';
import { visibleLine } from './terminal-text.ts';
import { describeDuration, describeInstant } from './times.ts';

export const describeTimes = (times: readonly DueTime[], now: number): string =>
  times
    .map(({ at, local, dst }) => `  ${local.replace('T', ' ')}${at === null ? '' : `  ${describeInstant(at, now)}`}${dst === null ? '' : `\n      ! ${dst}`}`)
    .join('\n');

export const describePreview = ({ reading, next }: SchedulePreview, now: number): string =>
  `${visibleLine(reading)}\n${next.length === 0 ? '  It is never due.' : describeTimes(next, now)}`;

/** How it stands, in a word or two. */
export function stateOf(schedule: Schedule): string {
  if (schedule.paused) return 'paused';
  return schedule.runsLeft === 0 ? 'over' : 'on';
}

export function describeSchedule(schedule: Schedule, now: number): string {
  const { spec } = schedule;
  const fields = describeFields([
    ['schedule', `${schedule.name}  ${schedule.id}`],
    ['state', `${stateOf(schedule)}${schedule.note === null ? '' : `: ${visibleLine(schedule.note)}`}`],
    ['plan', schedule.plan],
    ['input', visibleLine(JSON.stringify(schedule.input))],
    ['when', visibleLine(schedule.reading)],
    ['cron', spec.cron.length === 0 ? null : spec.cron.map(visibleLine).join('\n')],
    ['overlap', schedule.overlap],
    ['catch-up', describeDuration(schedule.catchupWindowMs)],
    ['on failure', schedule.pauseOnFailure ? 'pauses' : null],
    ['runs left', schedule.runsLeft === null ? null : String(schedule.runsLeft)],
    ['acts for', schedule.createdBy],
    ['missed', schedule.missed === 0 ? null : `${schedule.missed} in the last 7 days`],
    ['pending', schedule.pendingSync === null ? null : visibleLine(schedule.pendingSync)],
  ]);
  const next = schedule.next.length === 0 ? '' : `\n\nNext:\n${describeTimes(schedule.next, now)}`;
  const last = schedule.last.length === 0 ? '' : `\n\nLast:\n${schedule.last.map((start) => `  ${startCells(start, now).join('  ')}`).join('\n')}`;
  return fields + next + last;
}

export const startCells = ({ nominalAt, kind, status, reason, runId, runStatus }: ScheduleStart, now: number): string[] => [
  nominalAt.replace('.000Z', 'Z'),
  describeInstant(nominalAt, now),
  kind,
  status === 'missed' ? 'MISSED' : (runStatus ?? status),
  runId ?? visibleLine(reason ?? ''),
];

export function describeBackfill({ total, times, alreadyRun }: BackfillPreview, now: number): string {
  const more = total > times.length ? `\n  … and ${total - times.length} more` : '';
  const again =
    alreadyRun.length === 0
      ? ''
      : `\n${alreadyRun.length} of these have had a run already, and would run again: ${alreadyRun.slice(0, 5).join(', ')}${alreadyRun.length > 5 ? ' …' : ''}`;
  return `${total} ${total === 1 ? 'start' : 'starts'}:\n${describeTimes(times, now)}${more}${again}`;
}
