import { z } from 'zod';

export const secretNameSchema = z.string().regex(/^[a-zA-Z][a-zA-Z0-9_-]{0,63}$/, 'must be a letter, then up to 63 letters, digits, hyphens or underscores');

/** `api.example.com`, `*.example.com` for its subdomains, either with a port. */
const hostSchema = z
  .string()
  .toLowerCase()
  .regex(/^(\*\.)?[a-z0-9_]([a-z0-9._-]{0,251}[a-z0-9_])?(:[0-9]{1,5})?$|^\[[0-9a-f:.]+\](:[0-9]{1,5})?$/, 'must be a host, e.g. api.example.com');

export const setSecretSchema = z.strictObject({
  /** Never shown again. */
  value: z.string().min(1).max(65_536),
  /** The only hosts it may be sent to. */
  hosts: z.array(hostSchema).max(50),
});

export const secretDescriptionSchema = z.object({
  name: z.string(),
  hosts: z.array(z.string()),
  version: z.int(),
  createdAt: z.string(),
  updatedAt: z.string(),
});
export type SecretDescription = z.infer<typeof secretDescriptionSchema>;
