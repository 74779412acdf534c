// The page of a one-time link: sends its code. A preview of the link runs no script.
document.querySelector("form").submit();
