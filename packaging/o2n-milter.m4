dnl # o2n-milter in Sendmail: in sendmail.mc, after all other milters and before MAILER_DEFINITIONS, say
dnl #     include(`/etc/mail/m4/o2n-milter.m4')dnl
dnl # F=T: mail waits while the filter is away. T: how long it has for an answer.
INPUT_MAIL_FILTER(`o2n-milter', `S=local:/run/o2n-milter/milter.sock, F=T, T=S:30s;R:30s;E:5m')dnl
