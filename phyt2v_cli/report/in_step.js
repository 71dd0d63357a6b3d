// Videos of an element of class in-step play, pause and seek together. A page is complete without this.
"use strict";
const SAME_S = 0.01;
const NEAR_S = 0.1; // less is no seek: the clocks of two playing videos are never quite the same
for (const row of document.querySelectorAll(".in-step")) {
  const videos = [...row.querySelectorAll("video")];
  const following = new Set(); // on their way to the time of the leader
  let leader = null;
  const followers = () => videos.filter((one) => one !== leader && !one.closest("details:not([open])"));
  const align = (near) => {
    for (const one of followers()) {
      const time = Math.min(leader.currentTime, one.duration);
      if (!one.seeking && Math.abs(one.currentTime - time) > near) {
        following.add(one);
        one.currentTime = time;
      }
    }
  };
  for (const video of videos) {
    const on = (name, act) => video.addEventListener(name, act);
    on("play", () => {
      if (video !== leader && leader && !leader.paused) return;
      leader = video;
      align(SAME_S);
      for (const one of followers()) one.play().catch(() => {}); // a video that is gone
    });
    on("pause", () => {
      if (videos.every((one) => one.paused)) return;
      leader = video;
      for (const one of videos) one.pause();
      align(SAME_S);
    });
    on("seeking", () => {
      if (following.has(video)) return;
      leader = video;
      align(NEAR_S);
    });
    on("seeked", () => {
      following.delete(video);
      if (leader && leader.paused) align(video === leader ? SAME_S : NEAR_S);
    });
    on("timeupdate", () => {
      if (video === leader && !video.paused) align(NEAR_S);
    });
    on("ratechange", () => {
      for (const one of videos) {
        if (one.playbackRate !== video.playbackRate) one.playbackRate = video.playbackRate;
      }
    });
  }
}
