import type { Outcome } from './scenarios/scenario.ts';

const seconds = (ms: number): string => (ms / 1_000).toFixed(1);

function recoveryOf(recoveriesMs: readonly number[]): string {
  if (recoveriesMs.length === 0) return '–';
  const sorted = recoveriesMs.toSorted((one, other) => one - other);
  const median = sorted[Math.floor(sorted.length / 2)] ?? 0;
  return `${seconds(median)} / ${seconds(sorted.at(-1) ?? 0)} s`;
}

/** One row per scenario, as Markdown. */
export function formatTable(outcomes: readonly Outcome[]): string {
  const rows = outcomes.map(({ name, kills, verdict, recoveriesMs, note }) => [
    name,
    verdict.runs,
    kills,
    verdict.effects,
    verdict.missing,
    verdict.doubled,
    verdict.repeated,
    verdict.uncertain,
    verdict.attemptsSpent,
    recoveryOf(recoveriesMs),
    verdict.faults.length === 0 ? note : `${verdict.faults.length} faults. ${note}`,
  ]);
  const head = [
    'scenario',
    'runs',
    'kills',
    'effects',
    'missing',
    'doubled',
    'asked again',
    'uncertain',
    'attempts spent',
    'recovery (median / slowest)',
    'note',
  ];
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
