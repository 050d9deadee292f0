/** A short tone, so that a note is heard as it is clicked. */

const [LOUD, LENGTH_S] = [0.15, 0.5];
let context = null; // made with the first tone: browsers want a click before there is sound

/** Sound a pitch, as MIDI numbers it. */
export function tone(pitch) {
  context ??= new AudioContext();
  const now = context.currentTime;
  const volume = new GainNode(context, { gain: LOUD });
  volume.gain.exponentialRampToValueAtTime(LOUD / 100, now + LENGTH_S);
  const source = new OscillatorNode(context,
    { type: "triangle", frequency: 440 * 2 ** ((pitch - 69) / 12) });
  source.connect(volume).connect(context.destination);
  source.start(now);
  source.stop(now + LENGTH_S);
}
