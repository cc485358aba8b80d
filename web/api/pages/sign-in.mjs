/** Reads what the fragment asks for, and posts only what a person confirms: opening the page does nothing. */

const part = (id) => document.getElementById(id);
const message = part('message');

/** What the OpenID callback can have refused. */
const refusals = {
  no_account: 'Nobody here goes by the identity that your provider gave. Ask for an invitation and open it.',
  link_refused: 'That invitation is not good any more. Ask for a new one.',
  already_member: 'You are a member of that workspace already. Sign in.',
  oidc_refused: 'The sign-in at your provider did not come through. Begin again.',
  oidc_unreachable: 'Your provider does not answer. Try again later, or sign in by password.',
};

const fragment = new URLSearchParams(location.hash.slice(1));
// The secret stays neither in the address bar nor in the history.
history.replaceState(null, '', location.pathname);

const say = (text) => {
  message.textContent = text;
};

const send = async (method, path, body) => {
  const response = await fetch(path, {
    method,
    headers: { accept: 'application/json', ...(method === 'GET' ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    credentials: 'same-origin',
  });
  if (response.status === 204) return null;
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(`${answer.detail} ${answer.fix ?? ''}`), { status: response.status });
  return answer;
};

const show = (...ids) => {
  for (const id of ['spend', 'password', 'invitation', 'reset', 'oidc', 'signed-in']) part(id).hidden = !ids.includes(id);
};

const oidcParts = document.body.dataset.oidc === 'true' ? ['oidc'] : [];

const showWhoIAm = async () => {
  const me = await send('GET', '/v1/me');
  part('who').textContent = me.principal.name;
  part('where').textContent = me.workspace === null ? 'none yet' : me.workspace.name;
  part('roles').textContent = me.roles.join(', ');
  show('signed-in');
};

/** Says that it works, does it, and tells what went wrong. */
const attempt = async (work) => {
  say('One moment …');
  try {
    await work();
    say('');
  } catch (error) {
    say(error.message);
  }
};

const signInBy = (path, body) =>
  attempt(async () => {
    await send('POST', path, body);
    await showWhoIAm();
  });

const onSubmit = (id, handle) =>
  part(id).addEventListener('submit', (event) => {
    event.preventDefault();
    void handle(Object.fromEntries(new FormData(event.target)));
  });

part('spend-button').addEventListener('click', () => void signInBy('/v1/auth/links', { token: fragment.get('link') }));
onSubmit('password', (fields) => signInBy('/v1/auth/login', fields));
onSubmit('invitation', (fields) => signInBy('/v1/auth/invitations', { token: fragment.get('invitation'), ...fields }));
onSubmit('reset', (fields) => signInBy('/v1/auth/resets', { token: fragment.get('reset'), ...fields }));

part('oidc-button').addEventListener('click', () => {
  const invitation = fragment.get('invitation');
  void attempt(async () => {
    const { url } = await send('POST', '/v1/auth/oidc/start', invitation === null ? {} : { invitation });
    location.assign(url);
  });
});

part('sign-out').addEventListener('click', () => {
  void attempt(async () => {
    await send('POST', '/v1/auth/logout');
    show('password', ...oidcParts);
  });
});

const begin = async () => {
  if (fragment.has('link')) return show('spend');
  if (fragment.has('invitation')) return show('invitation', ...oidcParts);
  if (fragment.has('reset')) return show('reset');
  try {
    await showWhoIAm();
  } catch (error) {
    show('password', ...oidcParts);
    if (error.status !== 401) say(error.message);
  }
  const refusal = fragment.get('error');
  if (refusal !== null) say(refusals[refusal] ?? 'The sign-in did not come through.');
};

void begin();
