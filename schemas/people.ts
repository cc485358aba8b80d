import { z } from 'zod';
import { idSchema } from './ids.ts';
import { jsonObjectSchema } from './json.ts';
import { roleNames } from './plan.ts';

/** What a person types to sign in: usually an e-mail address. Compared without regard to case. */
export const loginSchema = z
  .string()
  .trim()
  .toLowerCase()
  .min(2)
  .max(254)
  .regex(/^[^\s\p{C}]+$/u, 'must not hold spaces or control characters');

/** How somebody is shown to others. */
export const personNameSchema = z
  .string()
  .trim()
  .min(1)
  .max(100)
  .regex(/^[^\p{C}]+$/u, 'must not hold control characters');

/** Length is what makes a password strong (NIST SP 800-63B §3.1.1.2): no rules about kinds of characters. In characters. */
export const newPasswordSchema = z.string().min(12, 'must have 12 characters at least').max(256);

/** What is typed at sign-in may be anything: only its hash decides. */
export const typedPasswordSchema = z.string().min(1).max(256);

/** The secret part of a one-time link: 256 bits, base64url. */
export const linkTokenSchema = z.string().regex(/^[A-Za-z0-9_-]{43}$/, 'is not the token of a link');

const instantSchema = z.string();
const roleSchema = z.enum(roleNames);

/** Roles that a member is to hold; at least one, or it would not be a member. */
export const wantedRolesSchema = z
  .array(roleSchema)
  .min(1)
  .max(roleNames.length)
  .transform((roles) => [...new Set(roles)]);

export const memberSchema = z.object({
  id: z.string(),
  name: z.string(),
  /** Null: they sign in with the owner's local key or an OpenID provider only. */
  login: z.string().nullable(),
  roles: z.array(roleSchema),
  disabled: z.boolean(),
  joinedAt: instantSchema,
});
export type Member = z.infer<typeof memberSchema>;

export const changeMemberSchema = z.strictObject({ roles: wantedRolesSchema.optional(), disabled: z.boolean().optional() });

export const inviteSchema = z.strictObject({ login: loginSchema, roles: wantedRolesSchema });

export const invitationSchema = z.object({
  id: z.string(),
  login: z.string(),
  roles: z.array(roleSchema),
  createdBy: z.string(),
  createdAt: instantSchema,
  expiresAt: instantSchema,
});
export type Invitation = z.infer<typeof invitationSchema>;

/** A one-time link. Its address is shown once, and holds its secret behind the `#`, where no server and no log sees it. */
export const madeLinkSchema = z.object({ id: z.string(), url: z.string(), expiresAt: instantSchema });
export type MadeLink = z.infer<typeof madeLinkSchema>;

export const sessionMethods = ['link', 'invitation', 'reset', 'password', 'oidc'] as const;
export type SessionMethod = (typeof sessionMethods)[number];

export const sessionSchema = z.object({
  id: z.string(),
  method: z.enum(sessionMethods),
  userAgent: z.string(),
  createdAt: instantSchema,
  lastSeenAt: instantSchema,
  expiresAt: instantSchema,
  /** The one that asks. */
  current: z.boolean(),
});
export type Session = z.infer<typeof sessionSchema>;

export const keySchema = z.object({
  id: z.string(),
  /** The part of the key that is no secret: how to recognise it. */
  publicId: z.string().nullable(),
  name: z.string(),
  ownerId: z.string(),
  ownerName: z.string(),
  /** Null: the owner's local key, which is not narrowed. */
  scopes: z.array(z.string()).nullable(),
  createdAt: instantSchema,
  expiresAt: instantSchema.nullable(),
  /** To the minute; null: never. */
  lastUsedAt: instantSchema.nullable(),
});
export type Key = z.infer<typeof keySchema>;

/** The key itself, shown this once. */
export const madeKeySchema = keySchema.extend({ apiKey: z.string() });
export type MadeKey = z.infer<typeof madeKeySchema>;

export const workspaceSchema = z.object({ id: z.string(), slug: z.string(), name: z.string(), roles: z.array(roleSchema) });
export type Workspace = z.infer<typeof workspaceSchema>;

export const workspaceSlugSchema = z.string().regex(/^[a-z][a-z0-9-]{0,62}$/, 'must be a letter, then lower-case letters, digits and hyphens, 63 at most');

export const personSchema = z.object({
  id: z.string(),
  name: z.string(),
  login: z.string().nullable(),
  installationRole: z.enum(['owner']).nullable(),
  disabled: z.boolean(),
  workspaces: z.array(z.object({ id: z.string(), slug: z.string(), roles: z.array(roleSchema) })),
});
export type Person = z.infer<typeof personSchema>;

export const changePersonSchema = z.strictObject({ disabled: z.boolean().optional(), installationRole: z.enum(['owner']).nullable().optional() });

export const profileSchema = z.object({ id: z.string(), name: z.string(), login: z.string().nullable(), hasPassword: z.boolean() });
export type Profile = z.infer<typeof profileSchema>;

export const preferencesSchema = jsonObjectSchema;

export const tokensSchema = z.object({
  accessToken: z.string(),
  tokenType: z.literal('Bearer'),
  /** Of the access token. */
  expiresInSeconds: z.int(),
  refreshToken: z.string(),
});
export type Tokens = z.infer<typeof tokensSchema>;

export const workspaceIdSchema = idSchema('workspace');
