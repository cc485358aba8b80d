import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { beforeAll, describe, expect, it } from 'vitest';
import { createInvocation } from './invocation.ts';
import { buildWholeProgram } from './program.ts';
import { describeCommands } from './reference.ts';

const page = (name: string): string => readFileSync(new URL(`../documentation/${name}`, import.meta.url), 'utf8');

let program: Command;
beforeAll(async () => {
  program = await buildWholeProgram(createInvocation(() => false));
});

const withThoseBelow = (command: Command): Command[] => [command, ...command.commands.flatMap(withThoseBelow)];

describe('what is written of kai', () => {
  it('is, in documentation/kai-options.md, every command and option; else run node scripts/generate-kai-reference.ts', async () => {
    expect(page('kai-options.md')).toBe(await describeCommands());
  });

  it('names, in documentation/kai.md, no option that is not there', () => {
    const known = new Set(['--help', ...withThoseBelow(program).flatMap(({ options }) => options.map(({ long }) => long))]);
    const named = new Set([...page('kai.md').matchAll(/`[^`]*`/g)].flatMap(([code]) => code.match(/--[a-z][a-z-]+/g) ?? []));
    expect(named.size).toBeGreaterThan(50);
    expect([...named].filter((option) => !known.has(option))).toEqual([]);
  });

  it('names, in documentation/kai.md, every group of commands', () => {
    const named = page('kai.md');
    expect(program.commands.map((command) => command.name()).filter((name) => !new RegExp(`\\| \`${name}\\b|, \`${name}\\b`).test(named))).toEqual([]);
  });
});
