import { z } from 'zod';

export const artifactSchema = z.object({
  id: z.string(),
  /** The run and step that wrote it. */
  runId: z.string(),
  stepPath: z.string(),
  name: z.string(),
  mediaType: z.string(),
  sizeBytes: z.int(),
  /** Of the content, hex. */
  sha256: z.string(),
  createdAt: z.string(),
});
export type Artifact = z.infer<typeof artifactSchema>;
