import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { beforeAll, describe, expect, test } from 'vitest';
import { listProjectFiles, projectRoot } from '#scripts/checks/project-files.ts';
import { createInvocation } from './invocation.ts';
import { buildProgram } from './program.ts';

/** Every first word, with what it defines. */
const groups = new Map<string, Command>();

beforeAll(async () => {
  const invocation = createInvocation(() => false);
  const names = (await buildProgram([], invocation)).commands.map((command) => command.name());
  for (const name of names) {
    const group = (await buildProgram([name], invocation)).commands.find((command) => command.name() === name);
    if (group !== undefined) groups.set(name, group);
  }
});

/** A command as texts write it: its words, then what belongs to it up to a quote, a comment, a sentence's end or another command. */
const mention = /\bkai (?<words>[a-z]+(?: [a-z]+(?:-[a-z]+)*)*)(?<rest>[^\n`'"|#;()]*)/g;

/** The words and options that kai does not know. Prose (`kai says …`) begins with no group's name, and is left alone. */
function unknownIn(text: string): string[] {
  return [...text.matchAll(mention)].flatMap(({ 0: whole, groups: found }) => {
    const words = (found?.['words'] ?? '').split(' ');
    const group = groups.get(words[0] ?? '');
    if (group === undefined) return [];
    const { command, unknown } = follow(group, words.slice(1));
    if (unknown !== null) return [`${whole.trim()}: ${group.name()} has no ${unknown}`];
    const known = optionsOf(command);
    const named = [...(found?.['rest'] ?? '').split(/[.:,] |\$\{| kai /)[0]!.matchAll(/(?<= |\[)--[a-z-]+/g)].map(([option]) => option);
    return named.filter((option) => !known.has(option)).map((option) => `${whole.trim()}: no option ${option}`);
  });
}

function follow(group: Command, words: readonly string[]): { command: Command; unknown: string | null } {
  let command = group;
  for (const word of words) {
    const next = command.commands.find((candidate) => candidate.name() === word || candidate.aliases().includes(word));
    if (next === undefined) return { command, unknown: command.commands.length > 0 && command.registeredArguments.length === 0 ? word : null };
    command = next;
  }
  return { command, unknown: null };
}

const optionsOf = (command: Command | null): Set<string> =>
  command === null
    ? new Set(['--json', '--no-color', '--version', '--help'])
    : new Set([...optionsOf(command.parent), ...command.options.flatMap(({ long }) => (long === undefined || long === null ? [] : [long]))]);

describe('commands that texts name', () => {
  test.each([
    ['kai run explain run_1', ['kai run explain run_1: run has no explain']],
    ['Look: kai run why last --deep', ['kai run why last --deep: no option --deep']],
    ['kai run start x --wait, kai says', []],
    ['kai status says so', []],
    ['kai webhook redeliver NAME --failed', []],
  ])('%s', (text, faults) => {
    expect(unknownIn(text)).toEqual(faults);
  });

  test('are commands of kai, in errors, messages and documents alike', () => {
    const spoken = listProjectFiles().filter((path) => /\.(ts|mjs|md)$/.test(path) && !/^(clients|bench)\/|\.test\.ts$/.test(path));
    expect(spoken.length).toBeGreaterThan(300);
    expect(spoken.flatMap((path) => unknownIn(readFileSync(join(projectRoot, path), 'utf8')).map((fault) => `${path}: ${fault}`))).toEqual([]);
  });
});
