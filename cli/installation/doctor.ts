import { asKosError } from '../faults.ts';
import { exitCodes } from '../exit-codes.ts';
import type { Invocation } from '../invocation.ts';
import { visibleLine } from '../terminal-text.ts';
import { checks, type Finding } from './checks.ts';

/** `kai doctor`: every check, whatever the others say. Exit code 1 when one found a fault. */
export async function examine(invocation: Invocation): Promise<void> {
  const { client, output } = invocation;
  const configuration = await invocation.configuration();
  const findings: Finding[] = [];
  for (const check of checks) {
    const finding = await check(configuration, client).catch(brokenCheck);
    findings.push(finding);
    if (!output.json) tell(invocation, finding);
  }
  const faults = findings.filter((finding) => finding.verdict === 'fault').length;
  const warnings = findings.filter((finding) => finding.verdict === 'warning').length;
  if (output.json) output.document({ ok: faults === 0, findings });
  else output.say(faults + warnings === 0 ? 'Nothing is wrong.' : `${count(faults, 'fault')}, ${count(warnings, 'warning')}.`);
  invocation.exitCode = faults === 0 ? exitCodes.ok : exitCodes.error;
}

const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`;

const nameColumns = 10;

function tell({ output }: Invocation, finding: Finding): void {
  const { green, yellow, red, dim } = output.dataColours;
  const mark = { ok: green('ok     '), warning: yellow('warning'), fault: red('FAULT  ') }[finding.verdict];
  output.data(`${mark}  ${finding.name.padEnd(nameColumns)}  ${visibleLine(finding.text)}`);
  if (finding.fix !== null) output.data(`${' '.repeat(nameColumns + 11)}${dim('fix:')} ${visibleLine(finding.fix)}`);
}

function brokenCheck(thrown: unknown): Finding {
  const error = asKosError(thrown);
  return { name: 'a check', verdict: 'fault', text: `failed itself: ${error.message}`, fix: error.fix };
}
