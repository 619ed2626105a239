// Telling somebody who does not look: a sound, a desktop notification. Both are off until they are chosen.
//
// Told is a change for the worse: into an attack or into not knowing, or one attack more than before.

import { kept } from './kept.js';

const RANK = { direct: 0, protected: 0, plain: 0, warn: 1, unknown: 2, attack: 3 };
let before = seen(document);

function seen(page) {
  const icon = page.getElementById('favicon')?.getAttribute('href') ?? '';
  const worst = icon.split('/').pop().replace('.svg', '');
  const attacks = page.querySelectorAll('.now .happening.t-attack').length;
  return { rank: RANK[worst] ?? 0, attacks };
}

/** Looks at the page after it changed. */
export function judge() {
  const now = seen(document);
  const worse = (now.rank > before.rank && now.rank >= 2) || (now.rank === 3 && now.attacks > before.attacks);
  before = now;
  if (!worse) return;
  if (kept('sound', 'no') === 'yes') sound(now.rank === 3);
  if (kept('desktop', 'no') === 'yes' && 'Notification' in window && Notification.permission === 'granted') {
    const words = document.querySelector('.now .sentence p')?.innerText.replace(/\s+/g, ' ') ?? '';
    const told = new Notification(document.title, { body: words, tag: 'situation', requireInteraction: now.rank === 3 });
    told.onclick = () => { window.focus(); told.close(); };
  }
}

/** Two tones for an attack, one for not knowing. */
function sound(attack) {
  const context = new AudioContext();
  const tones = attack ? [880, 660, 880, 660] : [440];
  tones.forEach((frequency, number) => {
    const tone = context.createOscillator();
    const volume = context.createGain();
    const at = context.currentTime + number * 0.22;
    tone.frequency.value = frequency;
    volume.gain.setValueAtTime(0.2, at);
    volume.gain.exponentialRampToValueAtTime(0.001, at + 0.2);
    tone.connect(volume).connect(context.destination);
    tone.start(at);
    tone.stop(at + 0.2);
  });
  setTimeout(() => context.close(), tones.length * 220 + 300);
}
