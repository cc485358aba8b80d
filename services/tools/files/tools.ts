import { readingTools } from '#services/tools/files/reading.ts';
import { writingTools } from '#services/tools/files/writing.ts';
import type { Tool } from '#services/tools/tool.ts';

export interface FileToolOptions {
  /** `$KOS_HOME`, absolute. Only its `logs` and `workspace` can be opened by a root. */
  home: string;
}

/** `fs.*`: inside the workspace's allowed roots, by the real path of what was opened. */
export const fileTools = ({ home }: FileToolOptions): Tool[] => [...readingTools(home), ...writingTools(home)];
