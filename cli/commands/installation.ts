import type { Command } from 'commander';
import type { Invocation } from '../invocation.ts';

/** The launcher itself handles `up`, so that it works before anything is installed: here are its words for help and completion. */
export function defineUp(up: Command): void {
  up.option('--port <number>', 'listen on this port of the loopback address; 0 takes a free one');
}

export function defineStatus(status: Command, invocation: Invocation): void {
  status.action(async () => {
    const { showStatus } = await import('../installation/status.ts');
    await showStatus(invocation);
  });
}

export function defineDoctor(doctor: Command, invocation: Invocation): void {
  doctor.action(async () => {
    const { examine } = await import('../installation/doctor.ts');
    await examine(invocation);
  });
}

export function defineVersion(version: Command, invocation: Invocation): void {
  version.action(async () => {
    const { readOwnVersion } = await import('../installation/version.ts');
    const { output } = invocation;
    const own = await readOwnVersion();
    if (output.json) output.document({ version: own, node: process.versions.node });
    else output.data(own);
  });
}
