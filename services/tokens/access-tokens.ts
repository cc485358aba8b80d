import { createPublicKey, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint, type JWK, jwtVerify, SignJWT } from 'jose';
import { ed25519PrivateKey } from '#services/identity/signing-key.ts';
import { newId } from '#services/ids.ts';
import { createKeyFile, listKeyGenerations, prepareKeyFolder, readKeyFile } from '#services/sealing/key-files.ts';

/** Whom a token speaks for. Their rights are looked up at each use: a token says who, never what they may. */
export interface AccessClaims {
  principalId: string;
  workspaceId: string;
  /** The grant or the key that it came from; ended with it. */
  sourceId: string;
  /** Null: not narrowed. */
  scopes: string[] | null;
}

export interface AccessTokens {
  issue(claims: AccessClaims): Promise<{ accessToken: string; expiresInSeconds: number }>;
  /** Null for whatever is not a valid access token of this installation. */
  verify(text: string): Promise<(AccessClaims & { expiresAt: Date }) | null>;
  /** RFC 7517, for those who verify our tokens themselves. */
  jwks: { keys: JWK[] };
}

export const accessTokenSeconds = 600;
/** Pinned: whatever a token's header asks for, nothing else is tried. */
const algorithm = 'EdDSA';
/** RFC 9068 §2.1: no other kind of JWT can be passed off as an access token. */
const tokenType = 'at+jwt';
const purpose = 'token';

interface TokenKey {
  kid: string;
  privateKey: KeyObject;
  publicKey: KeyObject;
  jwk: JWK;
}

/** The newest key file signs; older generations go on to verify while their files are there. */
export async function openAccessTokens(options: { directory: string; publicUrl: string }): Promise<AccessTokens> {
  const { directory, publicUrl } = options;
  prepareKeyFolder(directory);
  if (listKeyGenerations(directory, purpose).length === 0) createKeyFile(directory, purpose, 1);
  const generations = listKeyGenerations(directory, purpose).toReversed();
  const keys = await Promise.all(generations.map((generation) => tokenKey(readKeyFile(directory, purpose, generation))));
  return createAccessTokens(keys, publicUrl);
}

/** From the 32-byte private keys of RFC 8032, the one that signs first. */
export const accessTokensFrom = async (seeds: Uint8Array[], publicUrl: string): Promise<AccessTokens> =>
  createAccessTokens(await Promise.all(seeds.map(tokenKey)), publicUrl);

async function tokenKey(seed: Uint8Array): Promise<TokenKey> {
  const privateKey = ed25519PrivateKey(seed);
  const publicKey = createPublicKey(privateKey);
  const bare = publicKey.export({ format: 'jwk' }) as JWK;
  const kid = await calculateJwkThumbprint(bare);
  return { kid, privateKey, publicKey, jwk: { ...bare, kid, alg: algorithm, use: 'sig' } };
}

function createAccessTokens(keys: TokenKey[], publicUrl: string): AccessTokens {
  const [signing] = keys;
  if (signing === undefined) throw new Error('There is no key to sign access tokens with.');
  const audience = `${publicUrl}/v1`;
  return {
    jwks: { keys: keys.map(({ jwk }) => jwk) },

    async issue({ principalId, workspaceId, sourceId, scopes }) {
      const accessToken = await new SignJWT({ ws: workspaceId, sid: sourceId, ...(scopes === null ? {} : { scope: scopes.join(' ') }) })
        .setProtectedHeader({ alg: algorithm, typ: tokenType, kid: signing.kid })
        .setIssuer(publicUrl)
        .setAudience(audience)
        .setSubject(principalId)
        .setJti(newId('grant'))
        .setIssuedAt()
        .setExpirationTime(`${accessTokenSeconds}s`)
        .sign(signing.privateKey);
      return { accessToken, expiresInSeconds: accessTokenSeconds };
    },

    async verify(text) {
      try {
        const { payload } = await jwtVerify(text, ({ kid }) => findKey(keys, kid), {
          algorithms: [algorithm],
          typ: tokenType,
          issuer: publicUrl,
          audience,
          requiredClaims: ['sub', 'exp', 'iat', 'jti'],
          maxTokenAge: accessTokenSeconds,
        });
        return readClaims(payload);
      } catch {
        // Whatever is wrong with it, there is one answer; telling them apart would help only who forges.
        return null;
      }
    },
  };
}

function findKey(keys: TokenKey[], kid: string | undefined): KeyObject {
  const key = keys.find((candidate) => candidate.kid === kid);
  if (key === undefined) throw new Error('The token names no key of ours.');
  return key.publicKey;
}

function readClaims(payload: Record<string, unknown>): (AccessClaims & { expiresAt: Date }) | null {
  const { sub, ws, sid, scope, exp } = payload;
  if (typeof sub !== 'string' || typeof ws !== 'string' || typeof sid !== 'string' || typeof exp !== 'number') return null;
  if (scope !== undefined && typeof scope !== 'string') return null;
  const scopes = scope === undefined ? null : scope.split(' ').filter((word) => word !== '');
  return { principalId: sub, workspaceId: ws, sourceId: sid, scopes, expiresAt: new Date(exp * 1_000) };
}
