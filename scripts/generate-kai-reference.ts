import { writeFileSync } from 'node:fs';
import { createInvocation } from '#cli/invocation.ts';
import { buildWholeProgram } from '#cli/program.ts';
import { describeCommands } from '#cli/reference.ts';

// Run after a change to the commands: node scripts/generate-kai-reference.ts. Describing calls no command, so nothing is connected to.
const file = new URL('../documentation/kai-options.md', import.meta.url);
writeFileSync(file, describeCommands(await buildWholeProgram(createInvocation(() => false))));
