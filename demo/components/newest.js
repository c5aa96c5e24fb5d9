// Comes before every other script. Where an event waits for the answer to an earlier one of its kind, Gradio (6.31) keeps
// no more than that it waits, and sends the earlier one's data again: the last move of a hand would be lost. So every
// kind of event has one object for its data, and that holds the newest whenever it is sent.
const newest = {}, triggered = trigger;
trigger = (kind, data = {}) => {
  const held = (newest[kind] ??= {});
  for (const key of Object.keys(held)) delete held[key];
  triggered(kind, Object.assign(held, data));
};
