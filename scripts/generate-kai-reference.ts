import { writeFileSync } from 'node:fs';
import { describeCommands } from '#cli/reference.ts';

// Run after a change to the commands: node scripts/generate-kai-reference.ts. Describing calls no command, so nothing is connected to.
const file = new URL('../documentation/kai-options.md', import.meta.url);
writeFileSync(file, await describeCommands());
